#include "net/transport.h"

#include <openssl/err.h>

#include <algorithm>
#include <limits>

namespace sterna::net {
namespace {

int bounded(std::size_t bytes) {
  return static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
}

}  // namespace

ssize_t Transport::read_tls(char* to, std::size_t bytes) {
  if (broken_) return failed(-1);
  ERR_clear_error();
  const int got = SSL_read(tls_.get(), to, bounded(bytes));
  return got > 0 ? got : failed(got);
}

ssize_t Transport::write_tls(const char* from, std::size_t bytes) {
  if (broken_) return failed(-1);
  ERR_clear_error();
  const int sent = SSL_write(tls_.get(), from, bounded(bytes));
  return sent > 0 ? sent : failed(sent);
}

ssize_t Transport::failed(int result) {
  if (broken_) {
    errno = EPIPE;
    return -1;
  }
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      broken_ = true;
      errno = EPIPE;
      return -1;
  }
}

bool Transport::has_unread() const {
  char byte = 0;
  return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void Transport::shut_down() {
  if (tls_ && !broken_) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
  }
  ::shutdown(socket_.get(), SHUT_WR);
}

void Transport::reset() {
  tls_.reset();
  socket_.reset();
}

}  // namespace sterna::net
