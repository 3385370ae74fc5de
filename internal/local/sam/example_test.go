package sam_test

import (
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

func ExampleDefinition_Tables() {
	loaded, err := sam.Load("../../../template.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	tables, err := loaded.Tables("sufrah-local")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, table := range tables {
		fmt.Printf("%s by %s\n", table.Name, table.PartitionKey.Name)
	}
	// Output:
	// sufrah-local-access-tokens by tokenHash
	// sufrah-local-bots by restaurantId
	// sufrah-local-conversations by restaurantId
	// sufrah-local-directory by id
	// sufrah-local-restaurants by restaurantId
	// sufrah-local-usage by restaurantId
}

func ExampleDefinition_EventSources() {
	loaded, err := sam.Load("../../../template.yaml")
	if err == nil {
		loaded, err = loaded.With("TwilioAccountSid", "AC00000000000000000000000000000000")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	sources, err := loaded.EventSources("sufrah-local")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, source := range sources {
		fmt.Printf("%s takes %d at a time from %s\n", source.FunctionID, source.BatchSize, source.Queue.Name)
	}
	// Output:
	// WelcomeBootstrapFunction takes 1 at a time from sufrah-local-bootstrap
}
