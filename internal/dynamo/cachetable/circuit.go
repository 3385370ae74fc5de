package cachetable

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

// AskCircuit asks the breaker under a key, by this instance's clock.
func (c *Client) AskCircuit(ctx context.Context, key string) (pass circuit.Pass, wait time.Duration, err error) {
	err = c.do(ctx, "AskCircuit", func(ctx context.Context) error {
		return c.change(ctx, key, func(old table.Item) (table.Item, error) {
			var state circuit.State
			state, pass, wait = stateOf(old).Ask(c.config.Now())
			if pass != circuit.Probing {
				return nil, nil
			}
			return c.rewritten(key, old, state), nil
		})
	})
	return pass, wait, err
}

// TellCircuit reports the outcome of a call to the breaker under a key, and returns for how long calls stop; 0 if they don't.
func (c *Client) TellCircuit(ctx context.Context, key string, outcome circuit.Outcome) (pause time.Duration, err error) {
	err = c.do(ctx, "TellCircuit", func(ctx context.Context) error {
		if outcome.Event == circuit.Answered {
			_, err := c.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &c.config.Table, Key: keyOf(key)})
			return err
		}
		return c.change(ctx, key, func(old table.Item) (table.Item, error) {
			if outcome.Event == circuit.NotMade {
				if old == nil {
					return nil, nil
				}
				return c.rewritten(key, old, stateOf(old).Retract()), nil
			}
			var state circuit.State
			state, pause = stateOf(old).Fail(c.config.Now(), outcome.Asked, outcome.Percent)
			return filled(c.newItem(key, outcome.Asked+circuit.KeepFor), state), nil
		})
	})
	return pause, err
}

// stateOf returns the state in an item. An unreadable state counts as a breaker without failures.
func stateOf(it table.Item) circuit.State {
	r := table.Reader{Item: it}
	state := circuit.State{Failures: r.Number(attrFailures)}
	if until := r.Number(attrUntil); until > 0 {
		state.Until = time.UnixMilli(until)
	}
	if r.Err != nil {
		return circuit.State{}
	}
	return state
}

func filled(it table.Item, state circuit.State) table.Item {
	it[attrFailures] = table.Number(state.Failures)
	if !state.Until.IsZero() {
		it[attrUntil] = table.Number(state.Until.UnixMilli())
	}
	return it
}

// rewritten returns an item with a new state that expires when the old item does. Only a failure is kept for longer.
func (c *Client) rewritten(key string, old table.Item, state circuit.State) table.Item {
	it := keyOf(key)
	it[attrExpires], it[attrDeleteAt] = old[attrExpires], old[attrDeleteAt]
	return filled(it, state)
}
