// Asks the machine's resolvers for the addresses of names, by DNS alone (c-ares), on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "net/loop.h"

namespace sterna::net {

struct ResolvedAddress {
  IpAddress address;
  std::uint32_t ttl_seconds = 0;
};

struct Resolution {
  enum class Outcome : std::uint8_t {
    kFound,
    kNoAddress,  // the name is there, without an address of this family
    kNoName,
    kFailed,  // no resolver gave an answer in time
  };
  Outcome outcome = Outcome::kFailed;
  std::vector<ResolvedAddress> addresses;  // aliases are followed; at most kMaxResolved
};
inline constexpr std::size_t kMaxResolved = 32;

// Event loop thread only. Reads the machine's resolv.conf again when it has had nothing to do for a while.
class Resolver {
 public:
  enum class Family : std::uint8_t { kV4, kV6 };
  using Done = std::move_only_function<void(Resolution)>;
  using Ticket = std::uint64_t;

  explicit Resolver(Loop& loop);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `done` once, in a later turn: within 3 s for each resolver of resolv.conf. `name` is asked for as
  // it is, without a search list.
  Ticket ask(const std::string& name, Family family, Done done);
  // `done` will not be called.
  void cancel(Ticket ticket) { waiting_.erase(ticket); }

 private:
  class Channel;

  void finish(Ticket ticket, Resolution resolution);

  Loop& loop_;
  std::unique_ptr<Channel> channel_;
  std::map<Ticket, Done> waiting_;
  Ticket next_ = 1;
  // Answers that have been posted find nobody when this is gone. Shared with the posted jobs only.
  std::shared_ptr<Resolver*> self_;
};

}  // namespace sterna::net
