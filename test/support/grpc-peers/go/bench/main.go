// The backend of `make bench`: serves the same user over gRPC (as encoded bytes) and over HTTP (as JSON).
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
)

type bytesCodec struct{ encoding.CodecV2 }

func (c bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	if raw, ok := v.(*[]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(*raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if raw, ok := v.(*[]byte); ok {
		*raw = data.Materialize()
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func portOf(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

func read(file string) []byte {
	bytes, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	return bytes
}

func main() {
	service := flag.String("service", "", "full name of the gRPC service")
	methods := flag.String("methods", "", "methods of the service, separated by commas")
	message := flag.String("message", "", "file with the response message of every method")
	body := flag.String("json", "", "file with the JSON body of every HTTP response")
	flag.Parse()
	response, json := read(*message), read(*body)

	description := grpc.ServiceDesc{ServiceName: *service, HandlerType: (*any)(nil)}
	for _, name := range strings.Split(*methods, ",") {
		description.Methods = append(description.Methods, grpc.MethodDesc{
			MethodName: name,
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var request []byte
				return &response, decode(&request)
			},
		})
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{encoding.GetCodecV2("proto")}))
	server.RegisterService(&description, struct{}{})
	healthpb.RegisterHealthServer(server, health.NewServer())

	length := strconv.Itoa(len(json))
	respond := func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("content-type", "application/json; charset=utf-8")
		writer.Header().Set("content-length", length)
		_, _ = writer.Write(json)
	}

	grpcListener, httpListener := listen(), listen()
	fmt.Println(portOf(grpcListener), portOf(httpListener))
	go func() { log.Fatal(http.Serve(httpListener, http.HandlerFunc(respond))) }()
	log.Fatal(server.Serve(grpcListener))
}
