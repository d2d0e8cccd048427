// How many connections each client has (client_of), so that one cannot take all.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/ip_address.h"

namespace sterna::net {

// One thread.
class ClientCounts {
 public:
  using Client = std::array<std::uint8_t, 16>;

  // A connection's place in the count, given back at its end. Empty: it is not counted.
  class Place {
   public:
    Place() = default;
    Place(ClientCounts& counts, const Client& client) : counts_(&counts), client_(client) {}
    Place(Place&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)), client_(other.client_) {}
    Place& operator=(Place&& other) noexcept;
    ~Place() { give_back(); }
    void give_back();

   private:
    ClientCounts* counts_ = nullptr;
    Client client_{};
  };

  explicit ClientCounts(std::size_t most) : most_(most) {}

  // None when the client has as many as it may. Clients on loopback are not counted: proxies are there.
  std::optional<Place> take(const IpAddress& address);
  // Clients that have connections.
  std::size_t size() const { return counts_.size(); }

 private:
  const std::size_t most_;
  std::map<Client, std::size_t> counts_;
};

}  // namespace sterna::net
