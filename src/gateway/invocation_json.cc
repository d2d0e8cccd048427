#include "gateway/invocation_json.h"

namespace sterna::gateway {
namespace {

using api::OrderedJson;

OrderedJson time_or_null(const std::optional<WallTime>& time) {
  return time ? OrderedJson(format_rfc3339(*time)) : OrderedJson(nullptr);
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

OrderedJson status_or_null(int status) {
  return status == 0 ? OrderedJson(nullptr) : OrderedJson(status);
}

OrderedJson attempts_json(const std::vector<queue::Attempt>& attempts) {
  OrderedJson list = OrderedJson::array();
  for (const queue::Attempt& attempt : attempts) {
    list.push_back({{"number", attempt.number},
                    {"started_at", format_rfc3339(attempt.started_at)},
                    {"ended_at", format_rfc3339(attempt.ended_at)},
                    {"duration_seconds", std::chrono::duration<double>(attempt.duration).count()},
                    {"outcome", attempt.outcome},
                    {"reason", text_or_null(attempt.reason)},
                    {"status_code", status_or_null(attempt.status_code)},
                    {"instance", text_or_null(attempt.instance)},
                    {"cold", attempt.cold}});
  }
  return list;
}

OrderedJson callback_json(const queue::Record& record) {
  OrderedJson deliveries = OrderedJson::array();
  for (const queue::DeliveryAttempt& delivery : record.deliveries) {
    deliveries.push_back({{"at", format_rfc3339(delivery.at)},
                          {"outcome", delivery.outcome},
                          {"status_code", status_or_null(delivery.status_code.value_or(0))},
                          {"detail", delivery.detail}});
  }
  return {{"url", text_or_null(record.callback_url)},
          {"delivery", queue::to_string(record.delivery)},
          {"deliveries", std::move(deliveries)}};
}

}  // namespace

OrderedJson to_json(const queue::Record& record) {
  return {{"id", record.id},
          {"space", record.function.space},
          {"function", record.function.name},
          {"version", record.version == 0 ? OrderedJson(nullptr) : OrderedJson(record.version)},
          {"state", queue::to_string(record.state)},
          {"reason", text_or_null(record.reason)},
          {"status_code", status_or_null(record.status_code)},
          {"created_at", format_rfc3339(record.created_at)},
          {"not_before", format_rfc3339(record.not_before)},
          {"started_at", time_or_null(record.started_at)},
          {"ended_at", time_or_null(record.ended_at)},
          {"attempts", attempts_json(record.attempts)},
          {"callback", callback_json(record)}};
}

std::string location_of(const queue::FunctionName& function, std::string_view id) {
  return std::string("/spaces/")
      .append(function.space)
      .append("/functions/")
      .append(function.name)
      .append("/invocations/")
      .append(id);
}

}  // namespace sterna::gateway
