// A plain relay in Go, as a team would write it instead: franz-go, net/http, encoding/json, one goroutine per player session.
//
// In: the native events of a topic. Out: POSTs to the classic API, in order per session. It opens sessions, tries failures again and opens
// again what is gone; it has no durable state, no validation, no metrics and no dead letters.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type event struct {
	EventType      string          `json:"eventType"`
	PlayerTime     json.RawMessage `json:"playerTime"`
	Params         json.RawMessage `json:"params,omitempty"`
	QoeData        json.RawMessage `json:"qoeData,omitempty"`
	CustomMetadata json.RawMessage `json:"customMetadata,omitempty"`
}

type relay struct {
	kafka *kgo.Client
	api   *http.Client
	url   string
	slots chan struct{} // as many calls as may be under way
}

func main() {
	concurrency, err := strconv.Atoi(os.Getenv("CONCURRENCY"))
	if err != nil {
		log.Fatal(err)
	}
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("BOOTSTRAP")), kgo.ConsumerGroup(os.Getenv("GROUP")), kgo.ConsumeTopics(os.Getenv("TOPIC")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(),
	)
	if err != nil {
		log.Fatal(err)
	}
	r := &relay{kafka: kafka, api: client(concurrency), url: os.Getenv("URL"), slots: make(chan struct{}, concurrency)}
	lanes := map[string]chan *kgo.Record{}
	for {
		fetches := kafka.PollFetches(context.Background())
		fetches.EachRecord(func(record *kgo.Record) {
			lane, known := lanes[string(record.Key)]
			if !known {
				lane = make(chan *kgo.Record, 256)
				lanes[string(record.Key)] = lane
				go r.run(lane)
			}
			lane <- record
		})
	}
}

func client(concurrency int) *http.Client {
	transport := &http.Transport{MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	if file := os.Getenv("CA_FILE"); file != "" {
		page, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(page)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// run sends the events of one session, one after the other.
func (r *relay) run(lane chan *kgo.Record) {
	var start []byte
	path := ""
	for record := range lane {
		var said event
		if err := json.Unmarshal(record.Value, &said); err != nil {
			log.Print(err)
			continue
		}
		body, err := json.Marshal(said)
		if err != nil {
			log.Fatal(err)
		}
		if said.EventType == "sessionStart" {
			start, path = body, r.open(body)
		} else {
			for r.send(path, body) {
				path = r.open(start)
			}
		}
		r.kafka.MarkCommitRecords(record)
	}
}

func (r *relay) open(body []byte) string {
	for {
		status, location := r.post("/api/v1/sessions", body)
		if status == http.StatusCreated {
			return "/api/v1/sessions/" + location[strings.LastIndexByte(location, '/')+1:] + "/events"
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// send says whether the session is gone.
func (r *relay) send(path string, body []byte) bool {
	for {
		status, _ := r.post(path, body)
		switch {
		case status == http.StatusNotFound || status == http.StatusGone:
			return true
		case status >= 200 && status < 300:
			return false
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (r *relay) post(path string, body []byte) (int, string) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	response, err := r.api.Post(r.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Location")
}
