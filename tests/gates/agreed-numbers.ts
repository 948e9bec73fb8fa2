/** Every exit gate as agreed: phase, gate, condition, severity. */
export const AGREED_GATES = `
requirements documentation_complete: documentation_completeness >= 0.90 BLOCKING
requirements stakeholder_approved: stakeholder_approval == 1.0 BLOCKING
requirements acceptance_criteria_defined: acceptance_criteria_defined == 1.0 BLOCKING
design architecture_approved: design_review_approval == 1.0 BLOCKING
design api_spec_complete: api_specification_completeness >= 0.95 BLOCKING
design security_reviewed: security_design_review == 1.0 BLOCKING
implementation build_success: build_success_rate >= 0.95 BLOCKING
implementation quality_threshold: code_quality_score >= 8.0 AND test_coverage >= 0.80 BLOCKING
implementation security_clean: security_vulnerabilities == 0 BLOCKING
implementation no_stubs: stub_rate <= 0.05 BLOCKING
implementation code_reviewed: code_review_completion == 1.0 BLOCKING
testing tests_passing: test_pass_rate >= 0.95 BLOCKING
testing acceptance_validated: acceptance_criteria_met == 1.0 BLOCKING
testing no_critical_bugs: critical_bugs == 0 BLOCKING
testing security_validated: security_testing_complete == 1.0 BLOCKING
deployment deployment_successful: deployment_success == 1.0 AND smoke_tests_passed == 1.0 BLOCKING
deployment rollback_ready: rollback_plan_ready == 1.0 BLOCKING
deployment monitoring_active: monitoring_configured == 1.0 BLOCKING
monitoring slo_met: uptime_slo >= 0.995 AND error_rate <= 0.01 BLOCKING
monitoring monitoring_complete: monitoring_coverage >= 0.95 BLOCKING
monitoring alerts_configured: alert_response_time_minutes <= 15 BLOCKING
review requirements_met: requirements_fulfilled >= 0.95 BLOCKING
review quality_achieved: quality_score >= 85.0 BLOCKING
review retrospective_done: retrospective_completed == 1.0 BLOCKING
backend build_success: build_success_rate >= 0.95 BLOCKING
backend quality_threshold: code_quality_score >= 8.0 AND test_coverage >= 0.80 BLOCKING
backend security_clean: security_vulnerabilities == 0 BLOCKING
backend security_scanned: security_scan_complete == 1.0 BLOCKING
backend code_reviewed: code_review_completion == 1.0 BLOCKING
backend api_contract_valid: api_contract_compliance == 1.0 BLOCKING
frontend build_success: build_success_rate >= 0.95 BLOCKING
frontend quality_threshold: code_quality_score >= 8.0 AND test_coverage >= 0.75 BLOCKING
frontend security_clean: security_vulnerabilities == 0 BLOCKING
frontend security_scanned: security_scan_complete == 1.0 BLOCKING
frontend code_reviewed: code_review_completion == 1.0 BLOCKING
frontend ui_complete: ui_component_coverage >= 0.90 BLOCKING
frontend accessible: accessibility_score >= 0.85 BLOCKING
architecture architecture_complete: architecture_document_complete == 1.0 BLOCKING
architecture design_approved: design_review_approval == 1.0 BLOCKING
architecture security_reviewed: security_architecture_review == 1.0 BLOCKING
architecture scalability_assessed: scalability_assessment_complete == 1.0 BLOCKING
service_template build_success: build_success_rate >= 0.95 BLOCKING
service_template quality_threshold: code_quality_score >= 8.0 AND test_coverage >= 0.80 BLOCKING
service_template security_clean: security_vulnerabilities == 0 BLOCKING
service_template security_scanned: security_scan_complete == 1.0 BLOCKING
service_template health_check: health_check_implemented == 1.0 BLOCKING
service_template observability: observability_configured == 1.0 BLOCKING
custom_component build_success: build_success_rate >= 0.90 BLOCKING
custom_component quality_threshold: code_quality_score >= 7.5 AND test_coverage >= 0.70 BLOCKING
custom_component security_clean: security_vulnerabilities == 0 BLOCKING
custom_component security_scanned: security_scan_complete == 1.0 BLOCKING
custom_component code_reviewed: code_review_completion == 1.0 BLOCKING
`;

/** Every success criterion as agreed: phase, metric, direction, threshold, severity. */
export const AGREED_CRITERIA = `
requirements documentation_completeness min 0.9 BLOCKING
requirements stakeholder_approval min 1 BLOCKING
requirements acceptance_criteria_defined min 1 BLOCKING
requirements requirements_traceability min 0.95 WARNING
requirements clarity_score min 0.8 WARNING
design architecture_documentation min 0.9 BLOCKING
design design_review_approval min 1 BLOCKING
design api_specification_completeness min 0.95 BLOCKING
design database_schema_defined min 1 BLOCKING
design security_design_review min 1 BLOCKING
design scalability_assessment min 0.8 WARNING
implementation build_success_rate min 0.95 BLOCKING
implementation code_quality_score min 8 BLOCKING
implementation test_coverage min 0.8 BLOCKING
implementation stub_rate max 0.05 BLOCKING
implementation security_vulnerabilities max 0 BLOCKING
implementation code_review_completion min 1 BLOCKING
implementation documentation_coverage min 0.7 WARNING
testing test_pass_rate min 0.95 BLOCKING
testing acceptance_criteria_met min 1 BLOCKING
testing regression_test_coverage min 0.9 BLOCKING
testing performance_slo_met min 0.95 WARNING
testing security_testing_complete min 1 BLOCKING
testing critical_bugs max 0 BLOCKING
testing high_priority_bugs max 2 WARNING
deployment deployment_success min 1 BLOCKING
deployment smoke_tests_passed min 1 BLOCKING
deployment rollback_plan_ready min 1 BLOCKING
deployment monitoring_configured min 1 BLOCKING
deployment documentation_updated min 0.9 WARNING
deployment stakeholder_notification min 1 BLOCKING
monitoring uptime_slo min 0.995 BLOCKING
monitoring error_rate max 0.01 BLOCKING
monitoring response_time_p95 max 1000 WARNING
monitoring alert_response_time_minutes max 15 BLOCKING
monitoring incident_resolution_hours max 4 WARNING
monitoring monitoring_coverage min 0.95 BLOCKING
review requirements_fulfilled min 0.95 BLOCKING
review quality_score min 85 BLOCKING
review retrospective_completed min 1 BLOCKING
review lessons_documented min 1 WARNING
review stakeholder_satisfaction min 0.8 WARNING
backend build_success_rate min 0.95 BLOCKING
backend code_quality_score min 8 BLOCKING
backend test_coverage min 0.8 BLOCKING
backend api_contract_compliance min 1 BLOCKING
backend security_vulnerabilities max 0 BLOCKING
backend security_scan_complete min 1 BLOCKING
backend database_migration_safe min 1 BLOCKING
backend code_review_completion min 1 BLOCKING
frontend build_success_rate min 0.95 BLOCKING
frontend code_quality_score min 8 BLOCKING
frontend test_coverage min 0.75 BLOCKING
frontend ui_component_coverage min 0.9 BLOCKING
frontend accessibility_score min 0.85 BLOCKING
frontend security_vulnerabilities max 0 BLOCKING
frontend security_scan_complete min 1 BLOCKING
frontend code_review_completion min 1 BLOCKING
frontend bundle_size_kb max 500 WARNING
architecture architecture_document_complete min 1 BLOCKING
architecture design_review_approval min 1 BLOCKING
architecture security_architecture_review min 1 BLOCKING
architecture scalability_assessment_complete min 1 BLOCKING
architecture technology_stack_approved min 1 BLOCKING
service_template build_success_rate min 0.95 BLOCKING
service_template code_quality_score min 8 BLOCKING
service_template test_coverage min 0.8 BLOCKING
service_template api_contract_compliance min 1 BLOCKING
service_template security_vulnerabilities max 0 BLOCKING
service_template security_scan_complete min 1 BLOCKING
service_template health_check_implemented min 1 BLOCKING
service_template observability_configured min 1 BLOCKING
custom_component build_success_rate min 0.9 BLOCKING
custom_component code_quality_score min 7.5 BLOCKING
custom_component test_coverage min 0.7 BLOCKING
custom_component security_vulnerabilities max 0 BLOCKING
custom_component security_scan_complete min 1 BLOCKING
custom_component code_review_completion min 1 BLOCKING
`;
