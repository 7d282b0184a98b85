// Command pubsub serves Google's in-memory Pub/Sub, which its own clients are tested with, on the loopback interface.
//
// It writes its address, a line, and ends when its standard input does: a test that is killed leaves none behind.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
)

// permissions grants what is asked for on each topic and subscription that is there, and nothing else, as Pub/Sub does to one who may all.
type permissions struct {
	iampb.UnimplementedIAMPolicyServer
	server *pstest.Server
}

func (p *permissions) TestIamPermissions(ctx context.Context, request *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	var err error
	if strings.Contains(request.Resource, "/topics/") {
		_, err = p.server.GServer.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: request.Resource})
	} else {
		_, err = p.server.GServer.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: request.Resource})
	}
	if err != nil {
		return &iampb.TestIamPermissionsResponse{}, nil
	}
	return &iampb.TestIamPermissionsResponse{Permissions: request.Permissions}, nil
}

func main() {
	// Pub/Sub's own shortest is 10 s, which a test would wait for.
	pstest.SetMinAckDeadline(2 * time.Second)
	granted := &permissions{}
	granted.server = pstest.NewServerWithCallback(0, func(server *grpc.Server) { iampb.RegisterIAMPolicyServer(server, granted) })
	fmt.Println(granted.server.Addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = granted.server.Close()
}
