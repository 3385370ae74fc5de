// Package schema defines a stack's tables, and the items that several packages below internal/dynamo share. It does no input
// or output.
package schema

// Tables has the names of the tables. A program that uses only some tables leaves the other names empty.
type Tables struct {
	Restaurants   string
	Bots          string
	Usage         string
	Conversations string
	AccessTokens  string
	Directory     string
}

// StackTables returns the names of a stack's tables, as template.yaml defines them.
func StackTables(stack string) Tables {
	return Tables{
		Restaurants:   stack + "-restaurants",
		Bots:          stack + "-bots",
		Usage:         stack + "-usage",
		Conversations: stack + "-conversations",
		AccessTokens:  stack + "-access-tokens",
		Directory:     stack + "-directory",
	}
}
