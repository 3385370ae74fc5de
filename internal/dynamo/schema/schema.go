// Package schema says which tables a stack has, and what the items are that more than one room of package dynamo reads or
// writes. It does no input or output.
package schema

// Tables names the tables, each after the entity that it holds. Who doesn't use a table leaves its name empty.
type Tables struct {
	Restaurants   string
	Bots          string
	Usage         string
	Conversations string
	AccessTokens  string
	Directory     string
}

// StackTables returns the names that template.yaml gives the tables of a stack.
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
