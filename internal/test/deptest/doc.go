// Package deptest tests which of the project's packages may import which others, each rule with its reason.
package deptest
