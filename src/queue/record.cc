#include "queue/record.h"

#include <algorithm>
#include <array>

namespace sterna::queue {
namespace {

constexpr std::array<std::string_view, 6> kStates{"queued", "running",   "succeeded",
                                                  "failed", "cancelled", "expired"};
constexpr std::array<std::string_view, 4> kDeliveries{"none", "pending", "delivered", "undeliverable"};

template <class Enum, std::size_t N>
std::optional<Enum> parse(const std::array<std::string_view, N>& words, std::string_view text) {
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) return std::nullopt;
  return static_cast<Enum>(found - words.begin());
}

}  // namespace

std::string_view to_string(State state) {
  return kStates[static_cast<std::size_t>(state)];
}

std::optional<State> parse_state(std::string_view text) {
  return parse<State>(kStates, text);
}

std::string_view to_string(Delivery delivery) {
  return kDeliveries[static_cast<std::size_t>(delivery)];
}

std::optional<Delivery> parse_delivery(std::string_view text) {
  return parse<Delivery>(kDeliveries, text);
}

}  // namespace sterna::queue
