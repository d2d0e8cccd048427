// A synchronous invocation: one HTTP request, one run, the answer streamed back as the client takes it.
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <string>

#include "invoke/invocation.h"
#include "net/http_server.h"

namespace sterna::gateway {

class InvokeExchange final : public boost::intrusive::list_base_hook<>,
                             private invoke::OutcomeObserver,
                             private net::ResponseObserver {
 public:
  // Called once, as the last thing that the exchange does: destroys it.
  using Done = std::function<void(InvokeExchange&)>;

  InvokeExchange(invoke::FunctionTable& table, net::HttpConnection& connection, const Done& done)
      : connection_(&connection), invocation_(table, *this), done_(done) {}

  void start(invoke::FunctionEntry& entry, std::string call_id, std::string request, MonotonicTime arrived);

 private:
  void on_answer(const wire::ResponseHead& head, std::string_view body, wire::More more) override;
  void on_part(std::string_view part, wire::More more) override;
  void on_failure(const invoke::FailureInfo& failure) override;
  void on_client_gone() override;
  void on_drained() override;

  void copy_headers(const wire::ResponseHead& head);
  void add_version();
  void end();

  net::HttpConnection* connection_;  // null when the client is gone
  invoke::Invocation invocation_;
  const Done& done_;
  std::uint32_t untaken_ = 0;  // bytes of the answer that the worker has no window for yet
  bool streaming_ = false;
};

}  // namespace sterna::gateway
