// A gRPC server for the tests of the transports. It implements peers.v1.Peer, see test/support/grpc-peers/peer.ts.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
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

type handler func(ctx context.Context, request []byte) ([]byte, error)

var (
	waiting, cancelled atomic.Int64
	mutex              sync.Mutex
	released           = make(chan struct{})
)

func echo(_ context.Context, request []byte) ([]byte, error) { return request, nil }

func fail(ctx context.Context, request []byte) ([]byte, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	code, err := strconv.Atoi(first(md, "x-code"))
	if err != nil {
		return nil, err
	}
	failure := &spb.Status{Code: int32(code), Message: string(request)}
	if packed := first(md, "x-details-bin"); packed != "" {
		var details spb.Status
		if err := proto.Unmarshal([]byte(packed), &details); err != nil {
			return nil, err
		}
		failure.Details = details.Details
	}
	return nil, status.ErrorProto(failure)
}

func large(_ context.Context, request []byte) ([]byte, error) {
	length, err := strconv.Atoi(string(request))
	if err != nil {
		return nil, err
	}
	response := make([]byte, length)
	for i := range response {
		response[i] = byte(i)
	}
	return response, nil
}

func compressed(ctx context.Context, request []byte) ([]byte, error) {
	if err := grpc.SetSendCompressor(ctx, "gzip"); err != nil {
		return nil, err
	}
	return large(ctx, request)
}

func showMetadata(ctx context.Context, _ []byte) ([]byte, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	flat := map[string]string{}
	for name, values := range md {
		flat[name] = values[0]
	}
	if deadline, ok := ctx.Deadline(); ok {
		flat["deadline-ms"] = strconv.FormatInt(time.Until(deadline).Milliseconds(), 10)
	}
	return json.Marshal(flat)
}

func hold(ctx context.Context, request []byte) ([]byte, error) {
	mutex.Lock()
	done := released
	mutex.Unlock()
	waiting.Add(1)
	defer waiting.Add(-1)
	select {
	case <-done:
		return request, nil
	case <-ctx.Done():
		cancelled.Add(1)
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// release ends the calls of Hold in progress.
func release() {
	mutex.Lock()
	defer mutex.Unlock()
	close(released)
	released = make(chan struct{})
}

func countWaiting(context.Context, []byte) ([]byte, error) {
	return []byte(strconv.FormatInt(waiting.Load(), 10)), nil
}

func countCancelled(context.Context, []byte) ([]byte, error) {
	return []byte(strconv.FormatInt(cancelled.Load(), 10)), nil
}

func first(md metadata.MD, name string) string {
	if values := md.Get(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func method(name string, handle handler) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var request []byte
			if err := decode(&request); err != nil {
				return nil, err
			}
			response, err := handle(ctx, request)
			return &response, err
		},
	}
}

func transportCredentials(folder string) (credentials.TransportCredentials, error) {
	certificate, err := tls.LoadX509KeyPair(folder+"/server.pem", folder+"/server.key")
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(folder + "/ca.pem")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.pem contains no certificate")
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}), nil
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "address to listen on")
	streams := flag.Uint("streams", 0, "maximum concurrent streams of a connection; 0: the default of grpc-go")
	age := flag.Duration("age", 0, "maximum age of a connection; 0: unlimited")
	certificates := flag.String("tls", "", "folder with ca.pem, server.pem and server.key; enables mutual TLS")
	flag.Parse()

	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(bytesCodec{encoding.GetCodecV2("proto")}),
		grpc.MaxRecvMsgSize(16 << 20),
	}
	if *streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*streams)))
	}
	if *age > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: *age}))
	}
	if *certificates != "" {
		creds, err := transportCredentials(*certificates)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(creds))
	}

	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "peers.v1.Peer",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method("Echo", echo),
			method("Fail", fail),
			method("Large", large),
			method("Compressed", compressed),
			method("Metadata", showMetadata),
			method("Hold", hold),
			method("Waiting", countWaiting),
			method("Cancelled", countCancelled),
		},
	}, struct{}{})
	healthServer := health.NewServer()
	healthpb.RegisterHealthServer(server, healthServer)

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for received := range signals {
			switch received {
			case syscall.SIGHUP:
				release()
			case syscall.SIGUSR1:
				healthServer.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
			case syscall.SIGUSR2:
				healthServer.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
			default:
				go server.GracefulStop()
			}
		}
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
