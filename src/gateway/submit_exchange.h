// A request that becomes an asynchronous invocation: answered with 202 once it is durable, or with the
// function's answer when the client waits for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/rates.h"
#include "gateway/settlements.h"
#include "net/background.h"
#include "net/http_server.h"
#include "queue/invocations.h"

namespace sterna::gateway {

// All of it outlives the exchanges.
struct AsyncParts {
  queue::LeaseQueue& queue;
  queue::Outbox& outbox;
  queue::Invocations& invocations;
  Settlements& settlements;
  // Whether callbacks of the space may go there. Fails with invalid, reason `bad_callback_url`.
  std::function<Status(const std::string& space, const std::string& url)> check_callback;
};

class SubmitExchange final : public std::enable_shared_from_this<SubmitExchange>,
                             private net::ResponseObserver {
 public:
  enum class Answer : std::uint8_t {
    kAccepted,      // 202
    kPreferAsync,   // 202 after `wait`, or the function's answer when that comes earlier
    kFunctionsOwn,  // the function's answer, however long it takes
  };
  struct Plan {
    Answer answer = Answer::kAccepted;
    Duration wait{};
  };

  static void start(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                    net::HttpConnection& connection, queue::Submission submission, const Plan& plan,
                    Meters meters);

  SubmitExchange(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                 net::HttpConnection& connection, queue::FunctionName function, std::string call_id,
                 const Plan& plan, Meters meters)
      : loop_(loop),
        reading_(reading),
        parts_(parts),
        connection_(&connection),
        function_(std::move(function)),
        call_id_(std::move(call_id)),
        plan_(plan),
        meters_(std::move(meters)) {}

 private:
  void on_client_gone() override;
  void on_drained() override {}
  void on_server_ends() override;
  void on_accepted(Result<queue::Accepted> accepted);
  void await();
  void stop_waiting();
  void answer_accepted(queue::State state);
  void answer_as_it_is();
  void on_ended();
  void answer_function(const queue::Record& record, Result<queue::StoredAnswer> answer);
  void answer_cancelled();
  void refuse(const Error& error);

  net::Loop& loop_;
  net::Background& reading_;
  const AsyncParts& parts_;
  net::HttpConnection* connection_;  // null when it was answered, or the client is gone
  const queue::FunctionName function_;
  std::string call_id_;
  const Plan plan_;
  const Meters meters_;  // of the function's answer
  bool repeated_ = false;
  std::optional<Settlements::Token> waiting_;
  net::Loop::TimerId timer_;
};

}  // namespace sterna::gateway
