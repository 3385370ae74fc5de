package eventsource

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func (p *poller) event(batch []types.Message) events.SQSEvent {
	event := events.SQSEvent{Records: make([]events.SQSMessage, 0, len(batch))}
	for _, m := range batch {
		event.Records = append(event.Records, p.record(m))
	}
	return event
}

func (p *poller) record(m types.Message) events.SQSMessage {
	attributes := make(map[string]events.SQSMessageAttribute, len(m.MessageAttributes))
	for name, a := range m.MessageAttributes {
		// SQS has no list values, but Lambda's events have the lists, always empty.
		attributes[name] = events.SQSMessageAttribute{
			StringValue: a.StringValue, BinaryValue: a.BinaryValue, DataType: aws.ToString(a.DataType),
			StringListValues: []string{}, BinaryListValues: [][]byte{},
		}
	}
	return events.SQSMessage{
		MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle),
		Body: aws.ToString(m.Body), Md5OfBody: aws.ToString(m.MD5OfBody),
		Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
		Attributes:             m.Attributes, MessageAttributes: attributes,
		EventSource: "aws:sqs", EventSourceARN: p.QueueARN, AWSRegion: p.region(),
	}
}

// entryID returns the id of an entry, by its place: two entries of a batch may be receives of the same message.
func entryID(place int) *string { return aws.String(strconv.Itoa(place)) }

// entryFailures joins the failures of single entries, in an answer that as a whole is a success.
func entryFailures(failed []types.BatchResultErrorEntry) error {
	var faults []error
	for _, f := range failed {
		faults = append(faults, fmt.Errorf("entry %s: %s: %s",
			aws.ToString(f.Id), aws.ToString(f.Code), aws.ToString(f.Message)))
	}
	return errors.Join(faults...)
}
