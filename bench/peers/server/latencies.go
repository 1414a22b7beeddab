// How long events took from the moment when they were due until their requests were here.
//
// In: bodies that hold "due":"<nanoseconds since 1970>/<crowd>"; others are not noted. Out: for each crowd, quantiles in milliseconds, exact
// to ten microseconds. Whoever says when an event is due lives on the same machine, and so by the same clock.
package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"
)

const (
	bucketNanoseconds = 10_000
	buckets           = 1_000_000 // ten seconds; what took longer counts as that
)

var (
	dueMark = []byte(`"due":"`)

	noted     = map[string][]int64{}
	notedLock sync.Mutex
)

func note(body []byte, now int64) {
	_, rest, isThere := bytes.Cut(body, dueMark)
	if !isThere {
		return
	}
	said, _, _ := bytes.Cut(rest, []byte{'"'})
	due, crowd, _ := bytes.Cut(said, []byte{'/'})
	at, err := strconv.ParseInt(string(due), 10, 64)
	if err != nil {
		return
	}
	bucket := min(max((now-at)/bucketNanoseconds, 0), buckets-1)
	notedLock.Lock()
	defer notedLock.Unlock()
	if noted[string(crowd)] == nil {
		noted[string(crowd)] = make([]int64, buckets)
	}
	noted[string(crowd)][bucket]++
}

// toldLatencies says, crowd by crowd, how many were noted and within how many milliseconds each share of them was here.
func toldLatencies() []byte {
	notedLock.Lock()
	defer notedLock.Unlock()
	told := map[string]map[string]float64{}
	for crowd, counts := range noted {
		count := int64(0)
		for _, one := range counts {
			count += one
		}
		told[crowd] = map[string]float64{"count": float64(count)}
		for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1} {
			told[crowd][name] = quantile(counts, share*float64(count))
		}
	}
	text, _ := json.Marshal(told)
	return text
}

func quantile(counts []int64, rank float64) float64 {
	below := int64(0)
	for bucket, one := range counts {
		if below += one; one > 0 && float64(below) >= rank {
			return float64(bucket+1) * bucketNanoseconds / 1e6
		}
	}
	return 0
}
