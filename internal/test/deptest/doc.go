// Package deptest holds which of the project's packages may import what, each rule with its reason, as a test.
package deptest
