// The native module `sterna.node`.
#include <node_api.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "connection.h"
#include "connection_type.h"
#include "wire/frame.h"
#include "zygote/adopt.h"

namespace sterna::node {
namespace {

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  must(napi_set_named_property(env, object, name, value));
}

napi_value new_object(napi_env env) {
  napi_value object = nullptr;
  must(napi_create_object(env, &object));
  return object;
}

napi_value adopt(napi_env env, napi_callback_info /*info*/) {
  auto adopted = zygote::adopt();
  if (!adopted) return throw_error(env, adopted.error());
  std::optional<zygote::Adopted>& given = *adopted;
  if (!given) return null_value(env);
  const napi_value fds = new_object(env);
  set(env, fds, "socket", to_value(env, static_cast<double>(given->socket.release())));
  set(env, fds, "claim", to_value(env, static_cast<double>(given->claim.release())));
  return fds;
}

// A server's end and a worker's, and a claim page on which the first call is queued.
napi_value rehearsal(napi_env env, napi_callback_info /*info*/) {
  int pair[2] = {-1, -1};
  const UniqueFd none;
  UniqueFd claim(::memfd_create("claims", MFD_CLOEXEC));
  const auto queued = static_cast<std::uint32_t>(wire::Claim::kQueued);
  if (!claim || ::ftruncate(claim.get(), sizeof(wire::ClaimPage)) != 0 ||
      ::pwrite(claim.get(), &queued, sizeof queued, 0) != sizeof queued ||
      ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return throw_error(env, fail_errno(Component::kWorker, "rehearse", errno).error());
  }
  const napi_value fds = new_object(env);
  set(env, fds, "server", to_value(env, static_cast<double>(pair[0])));
  set(env, fds, "socket", to_value(env, static_cast<double>(pair[1])));
  set(env, fds, "claim", to_value(env, static_cast<double>(claim.release())));
  return fds;
}

napi_value arrival_kinds(napi_env env) {
  using Kind = worker::Arrival::Kind;
  const napi_value kinds = new_object(env);
  const auto add = [&](const char* name, Kind kind) {
    set(env, kinds, name, to_value(env, static_cast<double>(kind)));
  };
  add("REQUEST", Kind::kRequest);
  add("CANCEL", Kind::kCancel);
  add("CANCEL_UNSTARTED", Kind::kCancelUnstarted);
  add("WINDOW", Kind::kWindow);
  add("SHUTDOWN", Kind::kShutdown);
  return kinds;
}

napi_value function(napi_env env, const char* name, napi_callback callback) {
  napi_value made = nullptr;
  must(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &made));
  return made;
}

napi_value init(napi_env env, napi_value exports) {
  set(env, exports, "Connection", make_connection_class(env));
  set(env, exports, "Kind", arrival_kinds(env));
  set(env, exports, "adopt", function(env, "adopt", adopt));
  set(env, exports, "rehearsal", function(env, "rehearsal", rehearsal));
  return exports;
}

}  // namespace

NAPI_MODULE(sterna, init)

}  // namespace sterna::node
