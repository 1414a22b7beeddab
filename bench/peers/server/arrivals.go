// When events arrived that say when they were due.
//
// In: bodies that hold "due":"<nanoseconds since 1970>/<crowd>"; others are not noted. Out: a line for each in a file: when it was due, when its
// request had been read, its crowd. Whoever says when an event is due lives on the same machine, and so by the same clock.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"os"
	"sync"
)

var (
	dueMark = []byte(`"due":"`)

	noted     *bufio.Writer
	notedLock sync.Mutex
)

func noteInto(path string) {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	noted = bufio.NewWriterSize(file, 1<<20)
}

func note(body []byte, now int64) {
	_, rest, isThere := bytes.Cut(body, dueMark)
	if !isThere {
		return
	}
	said, _, _ := bytes.Cut(rest, []byte{'"'})
	due, crowd, _ := bytes.Cut(said, []byte{'/'})
	notedLock.Lock()
	defer notedLock.Unlock()
	fmt.Fprintf(noted, "%s %d %s\n", due, now, crowd)
}

// writeNoted leaves in the file what was noted until now.
func writeNoted() {
	if noted == nil {
		return
	}
	notedLock.Lock()
	defer notedLock.Unlock()
	noted.Flush()
}
