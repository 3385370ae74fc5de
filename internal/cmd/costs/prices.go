package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// List prices in US dollars for a million, in US East (N. Virginia); docs/OPERATIONS.md has their date and the assumptions.
const (
	writeUnits = 0.625
	readUnits  = 0.125
	// X-Ray costs 5 $ for a million traces, and one invocation in twenty is traced.
	tracing = 5.0 / 20
)

// row is a line of the table of prices: operations, and their costs other than units.
type row struct {
	name       string
	operations []string
	messages   int // of these: each also costs the units to find its restaurant, as if no instance remembered it
	compute    float64
	logs       float64
	others     float64 // SQS and the NAT gateway
	traces     float64 // invocations, some of which are traced
}

var rows = []row{
	{"messages within a session", []string{inSession}, 1, 1.40, 0.90, 0, 1},
	{"messages that open a conversation", []string{"message that opens a session"}, 1, 1.40, 0.90, 0, 1},
	{"messages that are answered with a menu", []string{"menu from the cache"}, 1, 3.20, 1.25, 0.45, 1},
	{"new customers: welcome and job", []string{"first message ever", "bootstrap job"}, 1, 6.73, 3.40, 3.45, 2},
	// Without the NAT gateway, which adds 0.45 for a menu and 2.25 for a new customer.
	{"messages that are answered with a menu, cache in a table", []string{"menu from the cache" + inTable}, 1, 3.20, 1.25, 0, 1},
	{"new customers: welcome and job, cache in a table", []string{"first message ever", "bootstrap job" + inTable}, 1, 6.73, 3.40, 1.20, 2},
	{"repeated deliveries", []string{"repeat of a message"}, 1, 1.40, 0.90, 0, 1},
	{"status callbacks", []string{"status callback"}, 0, 1.27, 0.65, 0, 1},
	{"requests of an owner", []string{"one restaurant"}, 0, 1.27, 0.65, 0, 1},
	{"requests for one restaurant with history", []string{"one restaurant with history"}, 0, 1.27, 0.65, 0, 1},
	{"requests for details", []string{"details"}, 0, 1.33, 0.65, 0, 1},
	{"requests for a page of 100", []string{"list of 100"}, 0, 1.53, 0.65, 0, 1},
	{"requests for 50 alerts", []string{"alerts of 50"}, 0, 1.40, 0.65, 0, 1},
	{"top-ups", []string{"top-up"}, 0, 1.27, 0.65, 0, 1},
	{"refused guesses", []string{"refused credential"}, 0, 1.27, 0.65, 0, 1},
}

// The lines of the document before and after the table.
const (
	begin = "<!-- made by `make costs ARGS=--write` -->\n"
	end   = "<!-- end of what is made -->\n"
)

// withPrices returns the document with the table of prices for a million of each operation, counted with the largest number
// of restaurants.
func withPrices(document []byte, counted []cost) ([]byte, error) {
	before, rest, found := bytes.Cut(document, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !found || !ends {
		return nil, errors.New(pricesFile + " lacks the comments between which the prices stand")
	}
	units := make(map[string]cost)
	for _, c := range counted {
		units[c.Operation] = c
	}
	lookup := units[unknown].ReadUnits - units[inSession].ReadUnits
	var table strings.Builder
	table.WriteString("| a million of | units written, read | DynamoDB | API, Lambda | logs | SQS, NAT | X-Ray | together |\n|---|---|---|---|---|---|---|---|\n")
rows:
	for _, r := range rows {
		read, written := float64(r.messages)*lookup, 0.0
		for _, operation := range r.operations {
			c, known := units[operation]
			if !known {
				continue rows
			}
			read, written = read+c.ReadUnits, written+c.WriteUnits
		}
		stored := written*writeUnits + read*readUnits
		traced := r.traces * tracing
		others := ""
		if r.others > 0 {
			others = fmt.Sprintf("%.2f", r.others)
		}
		fmt.Fprintf(&table, "| %s | %g, %g | %.2f | %.2f | %.2f | %s | %.2f | **%.2f** |\n",
			r.name, written, read, stored, r.compute, r.logs, others, traced, stored+r.compute+r.logs+r.others+traced)
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte(table.String()), []byte(end), after}, nil), nil
}
