#include "receiver.h"

#include <sys/socket.h>

#include <utility>

#include "protocol.h"

namespace sterna::bench {
namespace {

constexpr std::string_view kAnswer = "HTTP/1.1 204 No Content\r\n\r\n";

}  // namespace

// Reads what the server sends until it closes.
class Receiver::Connection final : public Pollable {
 public:
  Connection(UniqueFd socket, const OnCallback& on_callback)
      : socket_(std::move(socket)), on_callback_(on_callback) {}

  void on_readable() override {
    if (receive(socket_, in_) == Received::kEnd) return socket_.reset();
    std::string answers;
    std::size_t read = 0;
    while (const auto message = http_message(std::string_view(in_).substr(read))) {
      on_callback_(header(message->head, "X-Call-Id"), message->body);
      read += message->size;
      answers += kAnswer;
    }
    in_.erase(0, read);
    if (!answers.empty()) send_all(socket_, answers);
  }

 private:
  UniqueFd socket_;
  const OnCallback& on_callback_;
  std::string in_;
};

Receiver::Receiver(Poller& poller, OnCallback on_callback)
    : poller_(poller), on_callback_(std::move(on_callback)), listener_(listen_on_loopback()) {
  poller_.add(listener_.get(), *this);
}

Receiver::~Receiver() = default;

std::string Receiver::url() const {
  return "http://127.0.0.1:" + std::to_string(port_of(listener_)) + "/callback";
}

void Receiver::on_readable() {
  UniqueFd accepted(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted) return;
  const int fd = accepted.get();
  connections_.push_back(std::make_unique<Connection>(std::move(accepted), on_callback_));
  poller_.add(fd, *connections_.back());
}

}  // namespace sterna::bench
