// A worker's channel without a server, for tests.
#pragma once

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"
#include "wire/frame.h"
#include "worker/channel.h"

namespace sterna::worker {

struct OpenChannel {
  std::unique_ptr<Channel> channel;
  UniqueFd server;  // the other end of its socket
};

// Ends the test program when the kernel gives none.
inline OpenChannel open_channel(Guard& guard) {
  int ends[2];
  STERNA_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  UniqueFd page(::memfd_create("claims", MFD_CLOEXEC));
  STERNA_ASSERT(::ftruncate(page.get(), sizeof(wire::ClaimPage)) == 0);
  auto channel = Channel::open(UniqueFd(ends[1]), std::move(page), guard);
  STERNA_ASSERT(channel.has_value());
  return {std::move(*channel), UniqueFd(ends[0])};
}

}  // namespace sterna::worker
