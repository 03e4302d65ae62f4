package node

import (
	"context"

	"skein/raftfsm"
)

type keeping struct {
	node *node
	log  *raftfsm.Node
}

func (k *keeping) run(ctx context.Context) error { <-ctx.Done(); return nil }
