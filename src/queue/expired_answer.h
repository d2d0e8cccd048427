// The answer of an invocation that could not be run in time: no function gives it, yet callbacks carry it.
#pragma once

#include <cstdint>
#include <string>

namespace sterna::queue {

struct ExpiredAnswer {
  int status_code = 504;
  std::uint32_t header_count = 0;
  std::string headers;  // a block (wire/messages.h)
  std::string body;     // a problem document, reason kExpired
};

ExpiredAnswer expired_answer(std::string call_id);

}  // namespace sterna::queue
