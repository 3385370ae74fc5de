// Package deptest tests which packages may import which others. Each rule has its reason.
package deptest
