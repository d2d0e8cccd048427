// Bytes from and to one client: a socket that does not block, plain or inside TLS.
#pragma once

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"

namespace sterna::net {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

// Reads and writes as ::recv and ::send do: -1 with errno EAGAIN when it is to be tried again at the socket's
// next event. One thread.
class Transport {
 public:
  // `tls`: a session in the accepting state, or null for plain bytes. Its handshake is part of the first
  // reads.
  Transport(UniqueFd socket, SslPtr tls) : socket_(std::move(socket)), tls_(std::move(tls)) {
    if (tls_) SSL_set_fd(tls_.get(), socket_.get());
  }

  int fd() const { return socket_.get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }
  bool is_tls() const { return tls_ != nullptr; }
  bool in_handshake() const { return tls_ && SSL_is_init_finished(tls_.get()) == 0; }

  ssize_t read(char* to, std::size_t bytes) {
    return tls_ ? read_tls(to, bytes) : ::recv(socket_.get(), to, bytes, 0);
  }
  // What could not be written must stand at the front of the next call's bytes.
  ssize_t write(const char* from, std::size_t bytes) {
    return tls_ ? write_tls(from, bytes) : ::send(socket_.get(), from, bytes, MSG_NOSIGNAL);
  }
  // Bytes have come that were not read yet.
  bool has_unread() const;
  // Nothing more will be written.
  void shut_down();
  // Closes at once.
  void reset();

 private:
  ssize_t read_tls(char* to, std::size_t bytes);
  ssize_t write_tls(const char* from, std::size_t bytes);
  ssize_t failed(int result);

  UniqueFd socket_;
  SslPtr tls_;
  bool broken_ = false;  // OpenSSL wants nothing more of a session that failed, not even its end
};

}  // namespace sterna::net
