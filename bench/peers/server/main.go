// A fast API server for measurements: opens whatever is a session, takes whatever is an event, late or with failures when told to.
//
// In: HTTP/1.1 requests, plain or over TLS. Out: 201 with a Location for openings, 204 for events; GET /account says how many of each, and
// with -arrivals a file says when events arrived that say when they were due. It parses just enough of a request to find its end, so that
// the machine's time goes to whoever is measured.
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var (
	latency       = flag.Duration("latency", 0, "how long every answer waits")
	failEvery     = flag.Int64("fail-every", 0, "every n-th event is answered 500")
	forgetEvery   = flag.Int64("forget-every", 0, "every n-th event is answered 410")
	failSessions  = flag.Int64("fail-sessions", 0, "every event of every n-th session is answered 500")
	arrivalsTo    = flag.String("arrivals", "", "note in this file when events arrived whose bodies say when they were due")
	certificateTo = flag.String("tls", "", "speak TLS, and write the certificate to this file")

	openings, events, failures, forgotten, arrivals atomic.Int64
)

func main() {
	flag.Parse()
	if *arrivalsTo != "" {
		noteInto(*arrivalsTo)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if *certificateTo != "" {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{ownCertificate()}})
	}
	fmt.Println(port) // only now: the certificate is there
	go func() {       // whoever started this has gone: go too
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection)
	}
}

func serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 16384)
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		isOpening := bytes.Contains(line, []byte("/sessions HTTP"))
		isQuestion := bytes.HasPrefix(line, []byte("GET /account"))
		isFailing := *failSessions > 0 && !isOpening && !isQuestion && sessionIn(line)%*failSessions == 0
		if !skipRest(reader) {
			return
		}
		if *latency > 0 && !isQuestion {
			time.Sleep(*latency)
		}
		if _, err := connection.Write(answer(isOpening, isQuestion, isFailing)); err != nil {
			return
		}
	}
}

// sessionIn reads the number of a session out of the request line: it is what stands between the last slashes but one.
func sessionIn(line []byte) int64 {
	path, _, _ := bytes.Cut(line, []byte("/events HTTP"))
	number, _ := strconv.ParseInt(string(path[bytes.LastIndexByte(path, '/')+1:]), 16, 64)
	return number
}

// skipRest reads past the headers and the body.
func skipRest(reader *bufio.Reader) bool {
	length := 0
	for {
		header, err := reader.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(header) <= 2 {
			if noted != nil && length <= 16384 { // what the reader holds at once
				if body, err := reader.Peek(length); err == nil {
					note(body, time.Now().UnixNano())
				}
			}
			_, err := reader.Discard(length)
			return err == nil
		}
		if len(header) > 15 && (header[0] == 'c' || header[0] == 'C') && bytes.EqualFold(header[:15], []byte("content-length:")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(header[15:])))
		}
	}
}

func answer(isOpening, isQuestion, isFailing bool) []byte {
	if isQuestion {
		body := fmt.Sprintf(`{"openings": %d, "events": %d, "failures": %d, "forgotten": %d}`,
			openings.Load(), events.Load(), failures.Load(), forgotten.Load())
		writeNoted() // after counting: what is counted has been noted
		return []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
	if isOpening {
		return []byte(fmt.Sprintf("HTTP/1.1 201 Created\r\nLocation: /api/v1/sessions/%064x\r\nContent-Length: 0\r\n\r\n", openings.Add(1)))
	}
	arrival := arrivals.Add(1)
	if isFailing || (*failEvery > 0 && arrival%*failEvery == 0) {
		failures.Add(1)
		return []byte("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
	}
	if *forgetEvery > 0 && arrival%*forgetEvery == 0 {
		forgotten.Add(1)
		return []byte("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
	}
	events.Add(1)
	return []byte("HTTP/1.1 204 No Content\r\n\r\n")
}

// ownCertificate makes a certificate for 127.0.0.1 that is its own authority, good for a day.
func ownCertificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	page := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded})
	if err := os.WriteFile(*certificateTo, page, 0o600); err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{encoded}, PrivateKey: key}
}
