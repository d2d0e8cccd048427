// Turns the server's frames into requests and notes: gathers bodies that come in parts, or passes the parts
// on.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "wire/frame.h"

namespace sterna::worker {

// The server's own limit for bodies is far lower; this one only keeps a worker from growing without end.
inline constexpr std::size_t kMaxRequestBytes = 64U << 20;

struct Arrival {
  enum class Kind : std::uint8_t {
    kNothing,          // the frame was taken in; nothing to do
    kRequest,          // `payload` is a request head and its body, all of it unless `more` is to come
    kBody,             // `payload` is the next part of the call's body; of calls that have ended too
    kCancel,           // end this call
    kCancelUnstarted,  // the call was cancelled before its body was complete
    kWindow,           // `bytes` more may be sent for this call
    kShutdown,         // no more calls come
  };
  Kind kind = Kind::kNothing;
  std::uint16_t slot = 0;
  std::uint64_t call = 0;
  std::uint32_t bytes = 0;
  wire::More more = wire::More::kNo;
  std::string payload;
};

class Inbox {
 public:
  // Fails with invalid, reason `bad_frame`, on a frame that the server may not send here or a body over the
  // limit.
  Result<Arrival> accept(const wire::Frame& frame);
  // From now on parts of bodies are passed on as they come. Before the first request.
  void pass_parts() { passes_parts_ = true; }

 private:
  Result<Arrival> begin(const wire::Frame& frame);
  Result<Arrival> add_body(const wire::Frame& frame);
  Arrival cancel(const wire::Frame& frame);

  bool passes_parts_ = false;
  std::unordered_map<std::uint64_t, std::string> open_;  // by call; at most wire::kSlots
};

}  // namespace sterna::worker
