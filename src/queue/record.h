// What is known of an asynchronous invocation, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace sterna::queue {

// Queued is stored as ready or delayed; running is what a worker has, known only while a lease is held: after
// a restart what ran is queued again.
enum class State : std::uint8_t { kQueued, kRunning, kSucceeded, kFailed, kCancelled, kExpired };
std::string_view to_string(State state);  // "queued"
std::optional<State> parse_state(std::string_view text);
constexpr bool is_settled(State state) {
  return state != State::kQueued && state != State::kRunning;
}

// Of the callback.
enum class Delivery : std::uint8_t { kNone, kPending, kDelivered, kUndeliverable };
std::string_view to_string(Delivery delivery);  // "none"
std::optional<Delivery> parse_delivery(std::string_view text);

// Which function an invocation belongs to. The id stays when another function gets the name.
struct FunctionName {
  std::string id;
  std::string space;
  std::string name;
  // When the space was made: tells it from a later one of the same name. nullopt: not known (from an older
  // release).
  std::optional<WallTime> space_made_at{};

  friend bool operator==(const FunctionName&, const FunctionName&) = default;
};

// One try to run it. Platform faults (a restart, no capacity) are no attempts.
struct Attempt {
  std::int64_t number = 1;
  WallTime started_at;
  WallTime ended_at;
  Duration duration{};  // as X-Duration-Seconds tells it: finer than the times
  std::string outcome;  // "answered", "failed" or "cancelled"
  std::string reason;   // e.g. "function_raised", "retryable_status"; empty when the answer is final
  int status_code = 0;
  std::string instance;  // the worker
  bool cold = false;
  Duration queued{};    // of `duration`, until a worker had room
  Duration starting{};  // of `duration`, until that worker was ready
};

// One try to send the callback.
struct DeliveryAttempt {
  WallTime at;
  std::string outcome;  // "delivered", "retry" or "undeliverable"
  std::optional<int> status_code;
  std::string detail;
};

// All but the bodies.
struct Record {
  FunctionName function;
  std::string id;  // the call id
  std::int64_t version = 0;
  State state = State::kQueued;
  std::string reason;  // why it is failed, cancelled or expired, or why the last attempt failed
  int status_code =
      0;  // what the function answered, or what a synchronous caller would have got; 0: none yet
  WallTime created_at;
  WallTime not_before;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  std::vector<Attempt> attempts;
  std::string callback_url;  // empty: none
  Delivery delivery = Delivery::kNone;
  std::vector<DeliveryAttempt> deliveries;
};

}  // namespace sterna::queue
