// What the handlers of the management API ask of a request, and how they answer. Internal to the management
// API.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/json.h"
#include "api/paging.h"
#include "gateway/management.h"

namespace sterna::gateway {

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kZipType = "application/zip";
inline constexpr std::string_view kGzipType = "application/gzip";

// Failures of the layers below as what a handler answers.
std::unexpected<api::Problem> problem(const Error& error);
std::unexpected<api::Problem> problem(api::FieldErrors errors);
std::unexpected<api::Problem> unsupported_media_type(std::string_view expected);

// The first header of that name, case-insensitive; empty when absent.
std::string_view header_of(const ManagementRequest& request, std::string_view name);

// The media type in lower case without parameters; empty when absent.
std::string content_type(const ManagementRequest& request);

// The body as JSON. No content type counts as JSON; any other but application/json and `also` is 415.
std::expected<api::Json, api::Problem> json_body(const ManagementRequest& request,
                                                 std::string_view also = kJsonType);

std::optional<std::string> query_of(const ManagementRequest& request, std::string_view name);
std::expected<api::Page, api::Problem> page_of(const ManagementRequest& request);

// `?force=true`; absent means no.
std::expected<registry::Force, api::Problem> force_of(const ManagementRequest& request);

// `?traffic_percent=10`: the share of the calls that the new version is to get; absent means all.
std::expected<int, api::Problem> traffic_percent_of(const ManagementRequest& request);

ManagementReply json_reply(int status, const api::OrderedJson& json);

}  // namespace sterna::gateway
