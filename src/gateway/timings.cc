#include "gateway/timings.h"

#include <string>

namespace sterna::gateway {

void add_timings(net::HttpConnection& connection, const invoke::Timings& timings) {
  std::string text;
  text.reserve(64);
  invoke::append_seconds(text, timings.total());
  connection.header("X-Duration-Seconds", text);
  text = "queue;dur=";
  invoke::append_milliseconds(text, timings.queued);
  if (timings.was_cold) invoke::append_milliseconds(text += ", cold;dur=", timings.cold);
  invoke::append_milliseconds(text += ", run;dur=", timings.run);
  connection.header("Server-Timing", text);
}

}  // namespace sterna::gateway
