// The front door: looks at each request's target and hands it to who answers it.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "gateway/gatekeeper.h"
#include "gateway/health.h"
#include "gateway/invoke_exchange.h"
#include "gateway/management.h"
#include "gateway/oauth_exchange.h"
#include "gateway/refusals.h"
#include "gateway/route.h"
#include "gateway/submission.h"
#include "invoke/function_table.h"
#include "logs/build_logs.h"
#include "logs/function_logs.h"
#include "net/background.h"
#include "net/http_server.h"

namespace sterna::gateway {

struct GatewayLimits {
  std::size_t max_path_levels = 3;
  bool open_metrics = false;  // /metrics needs no token
};

// All of it outlives the gateway.
struct GatewayParts {
  net::Loop& loop;
  invoke::FunctionTable& functions;
  Management& management;
  logs::FunctionLogs& logs;
  logs::BuildLogs& build_logs;
  net::Background& management_thread;
  net::Background& token_thread;
  net::Background& log_thread;
  prometheus::Registry& metrics;
  UlidGenerator& ids;
  AsyncParts async;
  Gatekeeper& gatekeeper;
  Refusals& refusals;
  OauthParts oauth;
  const Health& health;
  std::function<void()> update_gauges;  // before /metrics is answered
};

class Gateway final : public net::HttpService {
 public:
  Gateway(const GatewayParts& parts, const GatewayLimits& limits);
  ~Gateway() override;

  std::size_t in_flight() const { return exchanges_.size(); }

  std::uint64_t on_head(net::HttpConnection& connection) override;
  void on_request(net::HttpConnection& connection) override;
  void on_refused(net::HttpConnection& connection, unsigned status, const Error& error) override;

 private:
  Error not_found(const Route& route) const;
  struct Target;  // what on_head finds out, for on_request
  static Target& target_of(net::HttpConnection& connection);
  void find_function(Target& target);
  invoke::FunctionEntry* entry_of(const Target& target);
  static bool answers_preflight(net::HttpConnection& connection, const Target& target);
  std::uint64_t check_invoke(net::HttpConnection& connection, Target& target);
  void check_invocations(net::HttpConnection& connection, Target& target);
  bool check_management(net::HttpConnection& connection, Target& target);
  std::uint64_t check_others(net::HttpConnection& connection, Target& target);
  // Whether the caller may; otherwise the answer has been given.
  bool let_in(net::HttpConnection& connection, Target& target, const auth::Need& need,
              Pages pages = Pages::kOwn);
  // Likewise, and no limit of that one's app is used up. Counts the request: once for each.
  bool admit(net::HttpConnection& connection, Target& target, const auth::Need& need,
             Pages pages = Pages::kOwn);
  void check_oauth(net::HttpConnection& connection);
  void note_refusal(const Refusal& refusal);
  bool count_management(net::HttpConnection& connection, Target& target);
  bool let_call(net::HttpConnection& connection, Target& target, const invoke::FunctionEntry* entry);
  bool is_as_checked(const Target& target, const invoke::FunctionEntry& entry) const;
  bool check_again(net::HttpConnection& connection, Target& target, const invoke::FunctionEntry& entry);
  Status check_callback(const invoke::FunctionEntry& entry, const AsyncWish& wish) const;
  void invoke(net::HttpConnection& connection, Target& target);
  InvokeExchange& new_exchange();
  void forget(InvokeExchange& exchange);
  void submit(net::HttpConnection& connection, const invoke::FunctionEntry& entry, const Target& target,
              const AsyncWish& wish, const std::string& call_id);
  void invocations(net::HttpConnection& connection, const Target& target);
  void logs(net::HttpConnection& connection, const Route& route);
  void build_logs(net::HttpConnection& connection, const Route& route);
  void readiness(net::HttpConnection& connection);
  void metrics(net::HttpConnection& connection);

  GatewayParts parts_;
  const GatewayLimits limits_;
  InvokeExchange::Done forget_;
  // Both owned; an allocation and a link each.
  boost::intrusive::list<InvokeExchange> exchanges_;
  boost::intrusive::list<InvokeExchange> ended_;  // some, for their memory; the last one first
};

}  // namespace sterna::gateway
