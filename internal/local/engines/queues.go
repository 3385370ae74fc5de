package engines

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// CreateQueues creates the queues that template.yaml defines for a stack, and returns their URLs by name. A dead-letter queue
// must be among them, and must not have one itself.
func CreateQueues(ctx context.Context, client *sqs.Client, queues []sam.Queue) (urls map[string]string, err error) {
	urls = make(map[string]string, len(queues))
	deadLettersFirst := slices.SortedFunc(slices.Values(queues), func(a, b sam.Queue) int {
		return min(len(a.DeadLetterQueue), 1) - min(len(b.DeadLetterQueue), 1)
	})
	for _, queue := range deadLettersFirst {
		if urls[queue.Name], err = createQueue(ctx, client, queue, urls[queue.DeadLetterQueue]); err != nil {
			return nil, fmt.Errorf("creating queue %s: %w", queue.Name, err)
		}
	}
	return urls, nil
}

func createQueue(ctx context.Context, client *sqs.Client, queue sam.Queue, deadLetterURL string) (url string, err error) {
	attributes := map[types.QueueAttributeName]string{
		types.QueueAttributeNameVisibilityTimeout:      seconds(queue.VisibilityTimeout),
		types.QueueAttributeNameDelaySeconds:           seconds(queue.Delay),
		types.QueueAttributeNameMessageRetentionPeriod: seconds(queue.RetentionPeriod),
	}
	if queue.DeadLetterQueue != "" {
		const arn = types.QueueAttributeNameQueueArn
		target, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &deadLetterURL, AttributeNames: []types.QueueAttributeName{arn},
		})
		if err != nil {
			return "", fmt.Errorf("reading the ARN of its dead-letter queue %s: %w", queue.DeadLetterQueue, err)
		}
		attributes[types.QueueAttributeNameRedrivePolicy] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`,
			target.Attributes[string(arn)], queue.MaxReceiveCount)
	}
	input := &sqs.CreateQueueInput{QueueName: &queue.Name, Attributes: make(map[string]string)}
	for name, value := range attributes {
		input.Attributes[string(name)] = value
	}
	created, err := client.CreateQueue(ctx, input)
	if err != nil {
		return "", err
	}
	return *created.QueueUrl, nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
