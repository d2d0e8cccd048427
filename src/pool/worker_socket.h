// The server's end of a worker's socket, on which no descriptors arrive.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace sterna::pool {

// User code gets at the other end, and may send descriptors along with its bytes. The server has no use for
// them and must not be the last to close them: that waits for as long as their owner likes, when a TCP socket
// has SO_LINGER and unsent data, also when it lies unread in a Unix socket that was sent.
class WorkerSocket {
 public:
  // Who keeps descriptors out.
  enum class Guard : std::uint8_t {
    kKernel,  // refuses them to the sender; kReader where it cannot
    kReader,  // they are looked for with each read
  };

  WorkerSocket(UniqueFd socket, Guard guard);
  WorkerSocket(WorkerSocket&&) = default;
  WorkerSocket& operator=(WorkerSocket&&) = delete;
  ~WorkerSocket() { close(); }

  explicit operator bool() const { return static_cast<bool>(socket_); }
  int get() const { return socket_.get(); }

  // As recv(2) without flags; errno EBADMSG when descriptors came: they are closed, the bytes with them are
  // lost.
  ssize_t receive(char* room, std::size_t size);
  // What is unread goes the same way.
  void close();

 private:
  UniqueFd socket_;
  const Guard guard_;
};

}  // namespace sterna::pool
