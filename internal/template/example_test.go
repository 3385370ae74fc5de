package template_test

import (
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/template"
)

func ExampleTemplate_Tables() {
	loaded, err := template.Load("../../template.yaml")
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
