// Package schema defines a stack's tables, and the items that several packages of dynamo read or write. It does no input
// or output.
package schema

// Tables names the tables, each after the entity that it holds. A user of only some tables leaves the other names
// empty.
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
