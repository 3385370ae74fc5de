package sqslocal

import "regexp"

const maxEntries = 10

var entryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batch is a request with up to ten entries, each of which succeeds or fails alone.
type batch[Entry identified] struct {
	QueueURL string  `json:"QueueUrl"`
	Entries  []Entry `json:"Entries"`
}

type identified interface{ id() string }

type sendEntry struct {
	ID string `json:"Id"`
	outgoing
}

func (e sendEntry) id() string { return e.ID }

type deleteEntry struct {
	ID            string `json:"Id"`
	ReceiptHandle string `json:"ReceiptHandle"`
}

func (e deleteEntry) id() string { return e.ID }

type visibilityEntry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string `json:"ReceiptHandle"`
	VisibilityTimeout *int   `json:"VisibilityTimeout"`
}

func (e visibilityEntry) id() string { return e.ID }

// check finds the faults that fail a batch as a whole.
func (b batch[Entry]) check() error {
	if len(b.Entries) == 0 {
		return errEmptyBatch
	}
	if len(b.Entries) > maxEntries {
		return errTooManyEntries
	}
	seen := map[string]bool{}
	for _, entry := range b.Entries {
		id := entry.id()
		if !entryID.MatchString(id) {
			return errInvalidEntryID
		}
		if seen[id] {
			return errIDsNotDistinct
		}
		seen[id] = true
	}
	return nil
}

type batchOutput[Result any] struct {
	Successful []Result      `json:"Successful"`
	Failed     []failedEntry `json:"Failed,omitempty"`
}

type failedEntry struct {
	ID          string `json:"Id"`
	SenderFault bool   `json:"SenderFault"`
	Code        string `json:"Code"`
	Message     string `json:"Message"`
}

// each runs do for every entry and sorts the results.
func each[Entry identified, Result any](entries []Entry, do func(Entry) (Result, error)) batchOutput[Result] {
	out := batchOutput[Result]{Successful: []Result{}}
	for _, entry := range entries {
		result, err := do(entry)
		if err != nil {
			f := asFault(err)
			out.Failed = append(out.Failed, failedEntry{entry.id(), true, f.queryCode, f.message})
			continue
		}
		out.Successful = append(out.Successful, result)
	}
	return out
}

type sentEntry struct {
	ID string `json:"Id"`
	sent
}

func (e *Engine) sendMessageBatch(in batch[sendEntry]) (batchOutput[sentEntry], error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return batchOutput[sentEntry]{}, err
	}
	if err := in.check(); err != nil {
		return batchOutput[sentEntry]{}, err
	}
	size := 0
	for _, entry := range in.Entries {
		size += entry.bytes()
	}
	if size > maxMessageBytes {
		return batchOutput[sentEntry]{}, errBatchTooLong
	}
	return each(in.Entries, func(entry sendEntry) (sentEntry, error) {
		s, err := e.accept(q, entry.outgoing, now)
		return sentEntry{entry.ID, s}, err
	}), nil
}

type doneEntry struct {
	ID string `json:"Id"`
}

func (e *Engine) deleteMessageBatch(in batch[deleteEntry]) (batchOutput[doneEntry], error) {
	e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return batchOutput[doneEntry]{}, err
	}
	if err := in.check(); err != nil {
		return batchOutput[doneEntry]{}, err
	}
	defer e.notify()
	return each(in.Entries, func(entry deleteEntry) (doneEntry, error) {
		return doneEntry{entry.ID}, q.remove(entry.ReceiptHandle)
	}), nil
}

func (e *Engine) changeMessageVisibilityBatch(in batch[visibilityEntry]) (batchOutput[doneEntry], error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return batchOutput[doneEntry]{}, err
	}
	if err := in.check(); err != nil {
		return batchOutput[doneEntry]{}, err
	}
	defer e.notify()
	return each(in.Entries, func(entry visibilityEntry) (doneEntry, error) {
		return doneEntry{entry.ID}, q.changeVisibility(entry.ReceiptHandle, entry.VisibilityTimeout, now)
	}), nil
}
