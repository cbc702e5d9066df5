package shards

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go/format"
)

// UnifiedSchema is one Parquet schema for the rows of several shards.
type UnifiedSchema struct {
	// Notices say what of the shards' metadata the common schema does not have.
	Notices []string

	schema fileSchema
	meta   []format.KeyValue
	parts  map[string]*unifiedPart // by shard
}

// unifiedPart is a shard with its own schema.
type unifiedPart struct {
	tree    *schemaTree
	columns int
	meta    []format.KeyValue
	root    *shredNode  // of Arrow and JSONL
	json    *jsonSchema // of JSONL
}

// UnifySchemas finds the schema that holds the rows of all shards exactly.
// Columns, and the fields of structs, are matched by name and stand in the order
// in which they first appear. One that a shard lacks, or that may be null in one,
// may be null; a column of type null becomes what it is elsewhere; integers become
// the least integer type that holds both, float32 and float64 become float64. All
// else must be equal: what is not is an error that wraps ErrUnsupported and
// names the column, both shards and both types. JSONL is read to its end.
//
// Key-value metadata is kept where the shards that have a key agree. Arrow's own
// schema in it is put together from the shards' where each column has its type
// from a shard with one, and left out elsewhere.
//
// A shard may be closed once the next one is asked for.
func UnifySchemas(ctx context.Context, shards iter.Seq2[*Shard, error]) (*UnifiedSchema, error) {
	u := &UnifiedSchema{parts: map[string]*unifiedPart{}}
	var root *schemaTree
	var parts []*unifiedPart
	for s, err := range shards {
		if err != nil {
			return nil, fmt.Errorf("unify schemas: %w", err)
		}
		part, err := newUnifiedPart(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("unify schemas: shard %s: %w", s.in.Shard, err)
		}
		if part == nil { // no rows, and no schema
			continue
		}
		if root == nil {
			root = part.tree.copyOf()
		} else if err := mergeRoots(root, part.tree); err != nil {
			return nil, fmt.Errorf("unify schemas: %w", err)
		}
		u.parts[s.in.Shard] = part
		parts = append(parts, part)
	}
	if root == nil {
		return u, nil
	}
	var err error
	if u.schema, err = root.schema(); err != nil {
		return nil, fmt.Errorf("unify schemas: %w", err)
	}
	return u, u.unifyMetadata(root, parts)
}

// mergeRoots merges the schema of another shard into the common one.
func mergeRoots(root, tree *schemaTree) error {
	tree.to = root
	return root.mergeFields(tree, "")
}

// newUnifiedPart returns the schema of a shard, nil for one without any.
func newUnifiedPart(ctx context.Context, s *Shard) (*unifiedPart, error) {
	part := &unifiedPart{}
	var schema fileSchema
	switch reader := s.reader.(type) {
	case *parquetReader:
		footer, err := readFooter(reader.obj)
		if err != nil {
			return nil, err
		}
		schema, part.meta = footer.schema, footer.meta.KeyValueMetadata
	case *jsonlReader:
		part.json = new(jsonSchema)
		if err := reader.eachLine(ctx, part.json.observe); err != nil {
			return nil, err
		}
		if part.json.root.first[jsonObject] == 0 {
			return nil, nil
		}
		root, err := part.json.nodes()
		if err != nil {
			return nil, err
		}
		part.root = root.shredNode
	case *arrowReader:
		if err := part.arrow(reader, s.Memory); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: rows of format %q have no schema", ErrUnsupported, s.in.Format)
	}
	if part.root != nil {
		var err error
		if schema, err = schemaOf(part.root); err != nil {
			return nil, err
		}
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	part.tree, part.columns = treeOf(schema, s.in.Shard), len(leaves)
	return part, nil
}

// arrow takes the schema of an Arrow file or stream.
func (p *unifiedPart) arrow(r *arrowReader, mem memory.Allocator) error {
	message, err := r.schemaMessage()
	if err != nil {
		return err
	}
	schema, err := decodeArrowSchema(message, mem)
	if err != nil {
		return err
	}
	if p.root, err = arrowNodes(schema); err != nil {
		return err
	}
	custom := schema.Metadata()
	for i, key := range custom.Keys() {
		p.meta = append(p.meta, format.KeyValue{Key: key, Value: custom.Values()[i]})
	}
	p.meta = append(p.meta, format.KeyValue{Key: arrowSchemaKey, Value: encodeArrowSchema(message)})
	return nil
}

// decodeArrowSchema decodes a schema message.
func decodeArrowSchema(message []byte, mem memory.Allocator) (schema *arrow.Schema, err error) {
	err = guard(func() error {
		if _, err := checkArrowMessage(message); err != nil {
			return err
		}
		one := &oneMessage{ipc.NewMessage(memory.NewBufferBytes(message), memory.NewBufferBytes(nil))}
		reader, err := ipc.NewReaderFromMessageReader(one, ipc.WithAllocator(mem))
		if err != nil {
			return fmt.Errorf("%w: decode schema: %w", ErrCorrupt, err)
		}
		schema = reader.Schema()
		reader.Release()
		return nil
	})
	return schema, err
}

// oneMessage is an ipc.MessageReader of one message.
type oneMessage struct{ message *ipc.Message }

// Message implements ipc.MessageReader.
func (o *oneMessage) Message() (*ipc.Message, error) {
	m := o.message
	if o.message = nil; m == nil {
		return nil, io.EOF
	}
	return m, nil
}

// Release implements ipc.MessageReader.
func (o *oneMessage) Release() {}

// Retain implements ipc.MessageReader.
func (o *oneMessage) Retain() {}
