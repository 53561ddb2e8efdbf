// Server-sent events with Go's net/http: a channel for each client.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

type Update struct {
	ID     int    `json:"id"`
	Update string `json:"update"`
}

var (
	mutex   sync.Mutex
	newest  int
	clients = map[chan string]bool{}
)

func publish(w http.ResponseWriter, r *http.Request) {
	var update Update
	if err := json.NewDecoder(r.Body).Decode(&update); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mutex.Lock()
	newest++
	update.ID = newest
	for client := range clients {
		client <- update.Update
	}
	mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(update)
}

func stream(w http.ResponseWriter, r *http.Request) {
	client := make(chan string, 16)
	mutex.Lock()
	clients[client] = true
	mutex.Unlock()
	defer func() {
		mutex.Lock()
		delete(clients, client)
		mutex.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for {
		select {
		case text := <-client:
			fmt.Fprintf(w, "data: %s\n\n", strings.ReplaceAll(text, "\n", "\ndata: "))
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func main() {
	http.HandleFunc("/api/messages", publish)
	http.HandleFunc("/events", stream)
	http.HandleFunc("/server-sent-events", stream)
	address := "localhost:" + os.Getenv("PORT")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Listening at http://" + address)
	log.Fatal(http.Serve(listener, nil))
}
