#include "load.h"

#include <stdexcept>
#include <utility>

namespace sterna::bench {

class Load::Connection final : public Pollable {
 public:
  Connection(Load& load, UniqueFd socket, std::string request)
      : load_(load), socket_(std::move(socket)), request_(std::move(request)) {}

  void send() {
    sent_ = now();
    send_all(socket_, request_);
  }

  void on_readable() override {
    if (receive(socket_, in_) == Received::kEnd) throw std::runtime_error("the server closed a connection");
    while (const auto reply = load_.protocol_.take_reply(in_)) {
      --load_.in_flight_;
      if (!reply->accepted && load_.refused_++ == 0) load_.first_refusal_ = reply->text;
      load_.events_.on_reply(*reply, sent_, now());
      load_.send_or_wait(*this);
    }
  }

  const UniqueFd& socket() const { return socket_; }

 private:
  Load& load_;
  UniqueFd socket_;
  std::string request_;
  std::string in_;
  Time sent_;
};

Load::Load(Poller& poller, const Protocol& protocol, std::uint16_t port, unsigned connections, Events events)
    : protocol_(protocol), events_(std::move(events)) {
  for (unsigned number = 0; number < connections; ++number) {
    connections_.push_back(std::make_unique<Connection>(*this, connect_to(port), protocol.request(number)));
    Connection& connection = *connections_.back();
    if (const auto hello = protocol.hello(number); !hello.empty()) send_all(connection.socket(), hello);
    poller.add(connection.socket().get(), connection);
    waiting_.push_back(&connection);
  }
}

Load::~Load() = default;

void Load::resume() {
  for (Connection* connection : std::exchange(waiting_, {})) send_or_wait(*connection);
}

void Load::send_or_wait(Connection& connection) {
  if (!events_.may_send()) {
    waiting_.push_back(&connection);
    return;
  }
  ++in_flight_;
  connection.send();
}

}  // namespace sterna::bench
