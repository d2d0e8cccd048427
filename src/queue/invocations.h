// Looking at invocations: what users ask about them.
#pragma once

#include <vector>

#include "queue/lease_queue.h"
#include "queue/outbox.h"

namespace sterna::queue {

struct Filter {
  std::optional<State> state;
  std::optional<Delivery> delivery;
};

struct Listing {
  std::vector<Record> records;             // newest first
  std::optional<std::string> next_cursor;  // opaque
};

// The stored answer; the body in pieces.
struct StoredAnswer {
  int status_code = 0;
  std::uint32_t header_count = 0;
  std::string headers;
  std::unique_ptr<AnswerReader> body;
};

// On the loop's thread. Unknown ids fail with not_found, reason `invocation_not_found`.
class Invocations {
 public:
  virtual ~Invocations() = default;
  virtual void find(const std::string& function_id, const std::string& id, Done<Record> done) = 0;
  // `limit` at most api::kMaxPage. Fails with invalid `bad_parameter` on a broken cursor.
  virtual void list(const std::string& function_id, const Filter& filter, std::size_t limit,
                    const std::string& cursor, Done<Listing> done) = 0;
  // Fails with conflict `not_ended` or not_found `no_answer`.
  virtual void answer(const std::string& function_id, const std::string& id, Done<StoredAnswer> done) = 0;
};

}  // namespace sterna::queue
