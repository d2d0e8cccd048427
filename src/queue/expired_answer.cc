#include "queue/expired_answer.h"

#include "api/problem.h"
#include "queue/lease_queue.h"
#include "wire/messages.h"

namespace sterna::queue {

ExpiredAnswer expired_answer(std::string call_id) {
  ExpiredAnswer answer;
  wire::append_header(answer.headers, "Content-Type", api::kProblemType);
  wire::append_header(answer.headers, "X-Sterna-Fault", "platform");
  answer.header_count = 2;
  answer.body =
      api::to_json(api::Problem{.status = answer.status_code,
                                .component = Component::kQueue,
                                .reason = std::string(kExpired),
                                .detail = "the invocation could not be run in time (async.max_age_seconds)",
                                .call_id = std::move(call_id),
                                .errors = {}});
  return answer;
}

}  // namespace sterna::queue
