package sqslocal

import (
	"errors"
	"fmt"
	"net/http"
)

// fault is an error in SQS's words. shape is its name in the JSON protocol. queryCode is its name in the older protocol,
// which SQS still sends too; the SDK shows it as the error's code.
type fault struct {
	status    int
	shape     string
	queryCode string
	message   string
}

// Error implements error.
func (f *fault) Error() string { return f.queryCode + ": " + f.message }

func (f *fault) body() any {
	return map[string]string{"__type": f.shape, "message": f.message}
}

// asFault returns the fault in err. Every error of an operation is a fault; anything else is a failure of the engine itself.
func asFault(err error) *fault {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f
	}
	return &fault{http.StatusInternalServerError, coral + "InternalFailure", "InternalFailure", err.Error()}
}

const (
	model  = "com.amazonaws.sqs#"
	coral  = "com.amazon.coral.service#"
	legacy = "AWS.SimpleQueueService."
)

var (
	errQueueDoesNotExist = &fault{http.StatusBadRequest, model + "QueueDoesNotExist",
		legacy + "NonExistentQueue", "The specified queue does not exist."}
	errQueueNameExists = &fault{http.StatusBadRequest, model + "QueueNameExists",
		"QueueAlreadyExists", "A queue already exists with the same name and a different value for an attribute."}
	errReceiptHandleIsInvalid = &fault{http.StatusBadRequest, model + "ReceiptHandleIsInvalid",
		"ReceiptHandleIsInvalid", "The input receipt handle is invalid."}
	errMessageNotInflight = &fault{http.StatusBadRequest, model + "MessageNotInflight",
		legacy + "MessageNotInflight", "The message referred to isn't in flight."}
	errInvalidMessageContents = &fault{http.StatusBadRequest, model + "InvalidMessageContents",
		"InvalidMessageContents", "Invalid characters found. Valid unicode characters are " +
			"#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"}
	errEmptyBatch = &fault{http.StatusBadRequest, model + "EmptyBatchRequest",
		legacy + "EmptyBatchRequest", "There should be at least one entry in the request."}
	errTooManyEntries = &fault{http.StatusBadRequest, model + "TooManyEntriesInBatchRequest",
		legacy + "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."}
	errIDsNotDistinct = &fault{http.StatusBadRequest, model + "BatchEntryIdsNotDistinct",
		legacy + "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id."}
	errInvalidEntryID = &fault{http.StatusBadRequest, model + "InvalidBatchEntryId",
		legacy + "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and " +
			"underscores. It can be at most 80 letters long."}
	errBatchTooLong = &fault{http.StatusBadRequest, model + "BatchRequestTooLong",
		legacy + "BatchRequestTooLong", fmt.Sprintf("Batch requests cannot be longer than %d bytes.", maxMessageBytes)}
	errPurgeInProgress = &fault{http.StatusForbidden, model + "PurgeQueueInProgress",
		legacy + "PurgeQueueInProgress", "Only one PurgeQueue operation is allowed every 60 seconds."}
	errUnsupportedFIFO = &fault{http.StatusBadRequest, model + "UnsupportedOperation",
		legacy + "UnsupportedOperation", "FIFO queues are not supported."}
	errUnknownOperation = &fault{http.StatusBadRequest, coral + "UnknownOperationException",
		"InvalidAction", "The operation is not known."}
	errRequestTooLarge = &fault{http.StatusRequestEntityTooLarge, coral + "RequestEntityTooLargeException",
		"RequestEntityTooLarge", "The request is too large."}
)

func invalidParameter(format string, args ...any) error {
	return &fault{http.StatusBadRequest, coral + "InvalidParameterValueException",
		"InvalidParameterValue", fmt.Sprintf(format, args...)}
}

func missingParameter(name string) error {
	return &fault{http.StatusBadRequest, coral + "MissingRequiredParameterException",
		"MissingParameter", "The request must contain the parameter " + name + "."}
}

func invalidAttributeName(name string) error {
	return &fault{http.StatusBadRequest, model + "InvalidAttributeName",
		"InvalidAttributeName", "Unknown Attribute " + name + "."}
}

func invalidAttributeValue(name string) error {
	return &fault{http.StatusBadRequest, model + "InvalidAttributeValue",
		"InvalidAttributeValue", "Invalid value for the parameter " + name + "."}
}

func resourceNotFound(message string) error {
	return &fault{http.StatusNotFound, model + "ResourceNotFoundException", "ResourceNotFoundException", message}
}

func serialization(cause error) error {
	return &fault{http.StatusBadRequest, coral + "SerializationException", "SerializationException", cause.Error()}
}
