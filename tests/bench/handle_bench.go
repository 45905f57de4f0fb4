// Go's own registry, runtime/cgo.Handle, doing what handle_bench.ts does.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/cgo"
	"sort"
	"time"
)

type figure struct {
	Case    string  `json:"case"`
	Runtime string  `json:"runtime"`
	Subject string  `json:"subject"`
	NsPerOp float64 `json:"nsPerOp"`
}

func measure(name string, count, rounds int) figure {
	value := &struct{ name string }{"value"}
	var times []float64
	for round := 0; round < rounds; round++ {
		start := time.Now()
		for i := 0; i < count; i++ {
			handle := cgo.NewHandle(value)
			if handle.Value() != any(value) {
				panic("wrong value")
			}
			handle.Delete()
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/float64(count))
	}
	sort.Float64s(times)
	return figure{name, "go", "go", times[len(times)/2]}
}

func main() {
	count, rounds := 300_000, 15
	if len(os.Args) > 1 && os.Args[1] == "--small" {
		count, rounds = 300, 3
	}
	figures := []figure{measure("handle/create-value-delete", count, rounds)}
	for i := 0; i < 500_000; i++ {
		cgo.NewHandle(i)
	}
	figures = append(figures, measure("handle/create-value-delete-500k-live", count, rounds))
	text, _ := json.Marshal(figures)
	fmt.Println(string(text))
}
