// A gRPC server of any contract with server reflection, for the tests of contracts that are read by reflection. Each method
// returns its request, decoded as the response message. SIGHUP reads the image again: reflection then returns the new contract,
// and the methods stay.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// contract finds descriptors in the image of the test, then among those that are compiled in.
type contract struct{ image *atomic.Pointer[protoregistry.Files] }

func (c contract) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if found, err := c.image.Load().FindFileByPath(path); err == nil {
		return found, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (c contract) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if found, err := c.image.Load().FindDescriptorByName(name); err == nil {
		return found, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

func (c contract) read(path string) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(bytes, &set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		log.Fatal(err)
	}
	c.image.Store(files)
}

func echo(method protoreflect.MethodDescriptor) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: string(method.Name()),
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := dynamicpb.NewMessage(method.Input())
			if err := decode(request); err != nil {
				return nil, err
			}
			bytes, err := proto.Marshal(request)
			if err != nil {
				return nil, err
			}
			response := dynamicpb.NewMessage(method.Output())
			return response, proto.Unmarshal(bytes, response)
		},
	}
}

func register(server *grpc.Server, descriptor protoreflect.ServiceDescriptor) {
	description := grpc.ServiceDesc{ServiceName: string(descriptor.FullName()), HandlerType: (*any)(nil)}
	methods := descriptor.Methods()
	for i := range methods.Len() {
		description.Methods = append(description.Methods, echo(methods.Get(i)))
	}
	server.RegisterService(&description, struct{}{})
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "address to listen on")
	image := flag.String("image", "", "file descriptor set of the contract")
	services := flag.String("services", "", "full names of the services, separated by commas")
	versions := flag.String("versions", "v1,v1alpha", "versions of the reflection protocol")
	folder := flag.String("tls", "", "folder with server.pem and server.key; enables TLS")
	flag.Parse()

	var options []grpc.ServerOption
	if *folder != "" {
		certificate, err := tls.LoadX509KeyPair(*folder+"/server.pem", *folder+"/server.key")
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	}
	server := grpc.NewServer(options...)
	files := contract{&atomic.Pointer[protoregistry.Files]{}}
	files.read(*image)
	for _, name := range strings.Split(*services, ",") {
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			log.Fatal(err)
		}
		register(server, descriptor.(protoreflect.ServiceDescriptor))
	}
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflectionOptions := reflection.ServerOptions{Services: server, DescriptorResolver: files}
	for _, version := range strings.Split(*versions, ",") {
		switch version {
		case "v1":
			reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(reflectionOptions))
		case "v1alpha":
			reflectionv1alpha.RegisterServerReflectionServer(server, reflection.NewServer(reflectionOptions))
		}
	}

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for received := range signals {
			if received == syscall.SIGHUP {
				files.read(*image)
			} else {
				server.Stop()
			}
		}
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
