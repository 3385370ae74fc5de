package engines

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

func (e *Engines) startCache(ctx context.Context, i installer) (string, error) {
	server, err := i.cacheServer(ctx)
	if err != nil {
		return "", err
	}
	return e.serve(ctx, Cache, "cache", func(port, _ int) []string { return cacheCommand(server, port) }, isUp)
}

func (i installer) cacheServer(ctx context.Context) (string, error) {
	return i.command(ctx, "redis-server", "valkey-server", "redis-server")
}

// cacheCommand returns the command of a server that keeps everything in memory.
func cacheCommand(server string, port int, options ...string) []string {
	return append([]string{
		server, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no",
	}, options...)
}

const slots = 16384

// startCluster starts a cluster of two nodes and returns the address of the first. A client finds the other node by itself.
func (e *Engines) startCluster(ctx context.Context, i installer) (string, error) {
	server, err := i.cacheServer(ctx)
	if err != nil {
		return "", err
	}
	var nodes [2]node
	for n := range nodes {
		nodes[n].address, err = e.serve(ctx, CacheCluster, fmt.Sprint("node", n), func(port, second int) []string {
			nodes[n].bus = second // the default, port plus 10,000, may be taken or be no valid port
			return cacheCommand(server, port, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(second),
				"--cluster-config-file", fmt.Sprint("nodes-", port, ".conf"), "--cluster-announce-ip", "127.0.0.1")
		}, isUp)
		if err != nil {
			return "", err
		}
	}
	return nodes[0].address, join(ctx, nodes)
}

// node is a server of a cluster.
type node struct {
	address string
	bus     int // the port at which other nodes reach it
}

// join makes a cluster of two nodes, and returns when both know it.
func join(ctx context.Context, nodes [2]node) error {
	host, port, err := net.SplitHostPort(nodes[1].address)
	if err != nil {
		return err
	}
	for _, step := range []struct{ address, command string }{
		{nodes[0].address, fmt.Sprintf("CLUSTER ADDSLOTSRANGE 0 %d", slots/2-1)},
		{nodes[1].address, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", slots/2, slots-1)},
		{nodes[0].address, fmt.Sprintf("CLUSTER MEET %s %s %d", host, port, nodes[1].bus)},
	} {
		if _, err := ask(ctx, step.address, step.command); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, n := range nodes {
		for err := isWhole(ctx, n.address); err != nil; err = isWhole(ctx, n.address) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("the two nodes did not form a cluster in time: %w", err)
			case <-time.After(readyInterval):
			}
		}
	}
	return nil
}

// isWhole fails unless a node knows the owner of every slot.
func isWhole(ctx context.Context, address string) error {
	info, err := ask(ctx, address, "CLUSTER INFO")
	if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")) {
		err = fmt.Errorf("node %s doesn't know its cluster yet: %s", address, info)
	}
	return err
}

func isUp(ctx context.Context, address string) error {
	_, err := ask(ctx, address, "PING")
	return err
}

// ask sends a command to a server and returns the answer, which must be a line or a text.
func ask(ctx context.Context, address, command string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	words := strings.Fields(command)
	request := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return "", fmt.Errorf("the command %s failed: %w", command, err)
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the command %s failed: %w", command, err)
	}
	answer := strings.TrimSpace(line[1:])
	switch line[0] {
	case '+':
		return answer, nil
	case '$':
		length, err := strconv.Atoi(answer)
		if err != nil {
			return "", fmt.Errorf("the command %s failed: %w", command, err)
		}
		text := make([]byte, max(0, length))
		_, err = io.ReadFull(in, text)
		return string(text), err
	}
	return "", fmt.Errorf("the command %s was refused: %s", command, answer)
}
