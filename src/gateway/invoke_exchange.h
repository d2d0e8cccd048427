// A synchronous invocation: one HTTP request, one run, the answer streamed back as the client takes it. The
// body may still come when it starts. When it has ended it can be started again: all it has allocated serves
// the next one.
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <string>

#include "gateway/rates.h"
#include "invoke/invocation.h"
#include "net/http_server.h"

namespace sterna::gateway {

class InvokeExchange final : public boost::intrusive::list_base_hook<>,
                             private invoke::OutcomeObserver,
                             private net::ResponseObserver,
                             private net::BodyObserver {
 public:
  // Called at the end of each invocation, as the last thing that the exchange does: may destroy it.
  using Done = std::function<void(InvokeExchange&)>;

  InvokeExchange(invoke::FunctionTable& table, const Done& done) : invocation_(table, *this), done_(done) {}

  // An empty string to make the request in.
  std::string request_memory() { return invocation_.request_memory(); }
  // For bytes that count: those of the body that come after start, and the answer's, which is streamed no
  // faster than the meters let it. Before start.
  void charge(net::Loop& loop, Meters meters);
  void start(net::HttpConnection& connection, invoke::FunctionEntry& entry, std::string call_id,
             std::string request, MonotonicTime arrived);

 private:
  void on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) override;
  void on_part(std::string_view part, wire::More more) override;
  void on_failure(const invoke::FailureInfo& failure) override;
  void on_client_gone() override;
  void on_drained() override;
  void on_body() override;
  void on_body_refused(unsigned status, const Error& error) override;

  void copy_headers(const wire::ResponseHead& head);
  void add_version();
  void count(std::string_view part) const;
  void end();

  net::HttpConnection* connection_ = nullptr;  // null too when the client is gone
  invoke::Invocation invocation_;
  const Done& done_;
  std::uint64_t counted_ = 0;  // bytes of the request's body that the meters know of
  std::uint32_t untaken_ = 0;  // bytes of the answer that the worker has no window for yet
  bool streaming_ = false;
  Meters meters_;
  net::Loop* loop_ = nullptr;  // of the timer
  net::Loop::TimerId pause_;
};

}  // namespace sterna::gateway
