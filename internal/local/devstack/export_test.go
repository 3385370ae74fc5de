package devstack

import "github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"

// StandIn returns the DynamoDB stand-in of a stack that has one, for tests that count units.
func (s *Stack) StandIn() *dynamolocal.Engine { return s.dynamoDB.Handler.(*dynamolocal.Engine) }
