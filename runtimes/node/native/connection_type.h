// The JavaScript class `Connection`: what the shim's JavaScript sees of connection.h.
#pragma once

#include <node_api.h>

namespace sterna::node {

// The class, made for `env`. new Connection(socket_fd, claim_fd) takes both descriptors.
napi_value make_connection_class(napi_env env);

}  // namespace sterna::node
