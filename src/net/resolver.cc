#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>

#include <utility>

#include "base/log.h"

namespace sterna::net {
namespace {

// Each resolver is tried twice, the second time for two seconds.
constexpr int kTryMilliseconds = 1000;
constexpr int kTries = 2;
constexpr Duration kTick = std::chrono::milliseconds(100);
constexpr Duration kFresh = std::chrono::seconds(30);

Resolution::Outcome outcome_of(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return Resolution::Outcome::kFound;
    case ARES_ENODATA:
      return Resolution::Outcome::kNoAddress;
    case ARES_ENOTFOUND:
      return Resolution::Outcome::kNoName;
    default:
      return Resolution::Outcome::kFailed;
  }
}

Resolution resolution_of(int status, const ares_addrinfo* found) {
  Resolution resolution{.outcome = outcome_of(status), .addresses = {}};
  if (status != ARES_SUCCESS || found == nullptr) return resolution;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    const auto address = ip_of(*node->ai_addr);
    if (!address || resolution.addresses.size() == kMaxResolved) continue;
    resolution.addresses.push_back(
        {.address = *address,
         .ttl_seconds = node->ai_ttl > 0 ? static_cast<std::uint32_t>(node->ai_ttl) : 0});
  }
  if (resolution.addresses.empty()) resolution.outcome = Resolution::Outcome::kNoAddress;
  return resolution;
}

// The library's start is for the whole process, and counted.
struct Library {
  Library() { ares_library_init(ARES_LIB_INIT_ALL); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { ares_library_cleanup(); }
};

}  // namespace

// One c-ares channel: what it knows of resolv.conf, its sockets and its time.
class Resolver::Channel {
 public:
  explicit Channel(Resolver& resolver) : resolver_(resolver), loop_(resolver.loop_), made_(loop_.now()) {
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    options.timeout = kTryMilliseconds;
    options.tries = kTries;
    std::string lookups = "b";  // not the machine's own hosts file
    options.lookups = lookups.data();
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
      static_cast<Channel*>(self)->watch(socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    const int status = ares_init_options(
        &channel_, &options,
        ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
      channel_ = nullptr;
      log::error("names cannot be resolved", {{"error", std::string_view(ares_strerror(status))}});
    }
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    loop_.cancel(timer_);
    if (channel_ != nullptr) ares_destroy(channel_);  // ends its queries and closes its sockets
  }

  bool works() const { return channel_ != nullptr; }
  bool idle() const { return queries_ == 0; }
  bool stale() const { return idle() && loop_.now() - made_ > kFresh; }

  void ask(Ticket ticket, const std::string& name, Family family) {
    ares_addrinfo_hints hints{};
    hints.ai_family = family == Family::kV4 ? AF_INET : AF_INET6;
    hints.ai_flags = ARES_AI_NOSORT;
    ++queries_;
    ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, &Channel::on_answer, new Query{this, ticket});
    tick_later();
  }

 private:
  struct Query {
    Channel* channel;
    Ticket ticket;
  };
  class Socket final : public EventHandler {
   public:
    Socket(Channel& channel, ares_socket_t fd) : channel_(channel), fd_(fd) {}
    void on_event(std::uint32_t events) override {
      const bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
      const bool out = (events & EPOLLOUT) != 0;
      ares_process_fd(channel_.channel_, in ? fd_ : ARES_SOCKET_BAD, out ? fd_ : ARES_SOCKET_BAD);
    }

   private:
    Channel& channel_;
    const ares_socket_t fd_;
  };

  static void on_answer(void* argument, int status, int /*timeouts*/, ares_addrinfo* found) {
    const std::unique_ptr<Query> query(static_cast<Query*>(argument));
    Channel& channel = *query->channel;
    --channel.queries_;
    Resolution resolution = resolution_of(status, found);
    if (found != nullptr) ares_freeaddrinfo(found);
    if (status != ARES_EDESTRUCTION) channel.resolver_.finish(query->ticket, std::move(resolution));
  }

  // The library's own sockets; level-triggered, since it does not always read all.
  void watch(ares_socket_t fd, bool readable, bool writable) {
    const std::uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
    const auto known = sockets_.find(fd);
    if (events == 0) {
      if (known == sockets_.end()) return;
      loop_.remove(fd, *known->second);
      loop_.dispose(std::move(known->second));
      sockets_.erase(known);
    } else if (known == sockets_.end()) {
      auto& made = sockets_[fd] = std::make_unique<Socket>(*this, fd);
      static_cast<void>(loop_.add(fd, *made, events));
    } else {
      static_cast<void>(loop_.change(fd, *known->second, events));
    }
  }

  // Its time-outs are in seconds: a steady look is enough.
  void tick_later() {
    if (ticking_ || idle()) return;
    ticking_ = true;
    timer_ = loop_.after(kTick, [this] {
      ticking_ = false;
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      tick_later();
    });
  }

  const Library library_;
  Resolver& resolver_;
  Loop& loop_;
  const MonotonicTime made_;
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, std::unique_ptr<EventHandler>> sockets_;
  std::size_t queries_ = 0;
  bool ticking_ = false;
  Loop::TimerId timer_;
};

Resolver::Resolver(Loop& loop) : loop_(loop), self_(std::make_shared<Resolver*>(this)) {}

Resolver::~Resolver() = default;

Resolver::Ticket Resolver::ask(const std::string& name, Family family, Done done) {
  const Ticket ticket = next_++;
  waiting_.emplace(ticket, std::move(done));
  if (channel_ && (channel_->stale() || !channel_->works())) channel_.reset();
  if (!channel_) channel_ = std::make_unique<Channel>(*this);
  if (channel_->works())
    channel_->ask(ticket, name, family);
  else
    finish(ticket, {});
  return ticket;
}

void Resolver::finish(Ticket ticket, Resolution resolution) {
  loop_.post([self = std::weak_ptr(self_), ticket, resolution = std::move(resolution)]() mutable {
    const auto alive = self.lock();
    if (!alive) return;
    auto waiting = (*alive)->waiting_.extract(ticket);
    if (!waiting.empty()) waiting.mapped()(std::move(resolution));
  });
}

}  // namespace sterna::net
